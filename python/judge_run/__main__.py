"""`python -m judge_run`: the program itself."""

import subprocess
import sys

from ._run import binary

if __name__ == "__main__":
    sys.exit(subprocess.call([binary(), *sys.argv[1:]]))
