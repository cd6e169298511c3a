"""Benchmark of submissions: how many a second one gateway process accepts on one core, beside a bound.

The bound, the floor, is what a durable, permitted submission costs when only the unavoidable is done
(`../shared/floor`, or `floor` in the folder WAYPOST_SHARED). The gateway takes its issuer's key and policy
data from the same folder and has no regions. Needs `wrk`. Usage: python bench/submissions.py
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("WAYPOST_SHARED", ROOT.parent / "shared"))
PORT, METRICS_PORT = 8703, 8713

SETTINGS = """
store = "sqlite:{out}/gateway.db"
listen = {{ port = {port} }}
metrics = {{ port = {metrics_port} }}
policy = {{ data = "{out}/data.json" }}
logging = {{ style = "json" }}

[[issuers]]
url = "https://issuer.test"
keys = "{out}/jwks.json"
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    args = parser.parse_args()
    floor = SHARED / "floor"
    if not (floor / "compare.py").exists() or shutil.which("wrk") is None:
        print(f"skipped: needs {floor.name}/compare.py in the shared folder, and wrk")
        return 0
    with tempfile.TemporaryDirectory(prefix="waypost-bench-", dir=ROOT) as folder:
        out = Path(folder)
        subprocess.run([sys.executable, floor / "load.py", "make", out], check=True)
        (out / "gateway.toml").write_text(SETTINGS.format(out=out, port=PORT, metrics_port=METRICS_PORT))
        target = f"waypost={PORT}:{sys.executable} -m gateway gateway --config {out / 'gateway.toml'}"
        load = [
            "--rounds",
            str(args.rounds),
            "--seconds",
            str(args.seconds),
            "--connections",
            *map(str, args.connections),
        ]
        found = subprocess.run(
            [sys.executable, floor / "compare.py", out, "--target", target, *load], check=False, cwd=ROOT
        )
        if found.returncode:
            print((out / "waypost.log").read_text(errors="replace"))
        return found.returncode


if __name__ == "__main__":
    sys.exit(main())
