"""Servers of other projects, each for the time of a test."""

import os
import signal
import socket
import subprocess
import time
import urllib.request


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """`healthy` is the path that answers once the server is there; its log is in the folder."""

    def __init__(self, command, port, healthy, folder, environment=None):
        self.command, self.healthy, self.log = command, healthy, f"{folder}/server.log"
        self.environment = os.environ | (environment or {})
        self.url = f"http://127.0.0.1:{port}"

    def __enter__(self):
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 300
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}{self.healthy}", timeout=1):
                    return self.url
            except OSError:
                time.sleep(0.2)
        self.__exit__()
        with open(self.log) as log:
            raise SystemExit("the server did not start: " + log.read())

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()
