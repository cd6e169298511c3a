"""Benchmark of submissions: how many a second one gateway process accepts on one core, beside a bound.

The bound, the floor, is what a durable, permitted submission costs when only the unavoidable is done
(`../shared/floor`, or `floor` in the folder WAYPOST_SHARED). The gateway takes its issuer's key and policy
data from the same folder and has no regions. Needs `wrk`. Usage: python bench/submissions.py

`--beside traces silent` measures in the same run a gateway that exports a span of every submission, to a
receiver on the other core, and one that logs errors alone: what traces and log lines cost.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("WAYPOST_SHARED", ROOT.parent / "shared"))
PORTS = {"waypost": (8703, 8713), "traces": (8704, 8714), "silent": (8705, 8715)}
"""The port of the API and that of the metrics of each gateway that is measured."""

SETTINGS = """
store = "sqlite:{out}/{name}.db"
listen = {{ port = {port} }}
metrics = {{ port = {metrics_port} }}
policy = {{ data = "{out}/data.json" }}
logging = {{ style = "json", level = "{level}" }}
tracing = {{ {tracing} }}

[[issuers]]
url = "https://issuer.test"
keys = "{out}/jwks.json"
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--beside", nargs="+", choices=["traces", "silent"], default=[])
    args = parser.parse_args()
    floor = SHARED / "floor"
    if not (floor / "compare.py").exists() or shutil.which("wrk") is None:
        print(f"skipped: needs {floor.name}/compare.py in the shared folder, and wrk")
        return 0
    with tempfile.TemporaryDirectory(prefix="waypost-bench-", dir=ROOT) as folder, span_receiver() as spans:
        out = Path(folder)
        subprocess.run([sys.executable, floor / "load.py", "make", out], check=True)
        names = ["waypost", *args.beside]
        load = ["--rounds", str(args.rounds), "--seconds", str(args.seconds)]
        load += ["--connections", *map(str, args.connections)]
        for name in names:
            load += ["--target", target(name, out, spans)]
        found = subprocess.run([sys.executable, floor / "compare.py", out, *load], check=False, cwd=ROOT)
        if found.returncode:
            print("".join((out / f"{name}.log").read_text(errors="replace") for name in names))
        return found.returncode


def target(name: str, out: Path, spans: str) -> str:
    """Writes the settings of one gateway; returns the option that tells the comparison how to start it."""
    port, metrics_port = PORTS[name]
    settings = SETTINGS.format(
        out=out,
        name=name,
        port=port,
        metrics_port=metrics_port,
        level="ERROR" if name == "silent" else "INFO",
        tracing=f'endpoint = "{spans}"' if name == "traces" else "",
    )
    (out / f"{name}.toml").write_text(settings)
    return f"{name}={port}:{sys.executable} -m gateway gateway --config {out / f'{name}.toml'}"


@contextmanager
def span_receiver() -> Iterator[str]:
    """Runs a server that takes every span and keeps none; yields its URL."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces"
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    sys.exit(main())
