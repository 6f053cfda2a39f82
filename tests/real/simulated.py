"""A simulated endpoint, for the time of a test."""

import json
import subprocess
import urllib.request


class Simulator:
    def __init__(self, program, *args):
        self.command = [program, "simulate", "--port", "0", *args]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().strip()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stats(self):
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/stats") as response:
            return json.load(response)
