"""Runs workflows on a cluster in a process of its own, of root or of an ordinary user, and tells their ends.

Run as a program it is that process.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clusters.embedded.executors.process.sandbox.probe import make_sandbox
from clusters.embedded.executors.process.settings import ProcessSettings
from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.errors import ClusterError
from clusters.protocol import AttemptEnded, AttemptId, Batch, Fence, RunSpec, ShardSpec, TaskChanged

ROOT = Path(__file__).parents[6]
ORDINARY = 65_534
CANARY = "canary-3b1f"
"""What the cluster's keys, environment and other workspaces hold, and no task may read."""
SECONDS = 100


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a task ended on the cluster: its phase, its reason, what it gave back and what it wrote."""

    phase: str
    reason: str
    output: Any = None
    log: str = ""


@cache
def why_no_sandbox() -> str:
    """Returns why this machine cannot make a sandbox; empty where it can."""
    with tempfile.TemporaryDirectory() as folder:
        found = make_sandbox(ProcessSettings(isolation="sandbox"), Path(folder), ())
    return found if isinstance(found, str) else ""


needs_sandbox = pytest.mark.skipif(bool(why_no_sandbox()), reason=f"no sandbox here: {why_no_sandbox()}")


def python_for_all() -> str:
    """Returns a Python that an ordinary user may run too; skips the test where there is none."""
    candidates = (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3")
    for candidate in candidates:
        command = ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups", candidate]
        usable = f"sys.version_info[:2] == {sys.version_info[:2]} and os.access(sys.executable, os.X_OK)"
        script = f"import os, sys; sys.exit(not ({usable}))"
        try:
            if subprocess.run([*command, "-c", script], capture_output=True, check=False).returncode == 0:
                return candidate
        except FileNotFoundError:
            break
    pytest.skip("there is no Python that an ordinary user may run, or no setpriv")


class Cluster:
    """A cluster's process that is started for one list of runs; `as_root` says whose it is.

    `own_user`: whether tasks of root's cluster are users of their own.
    """

    def __init__(self, folder: Path, *, as_root: bool, own_user: bool = True) -> None:
        self.folder, self.state, self._as_root = folder, folder / "state", as_root
        self.own_user = own_user
        self.state.mkdir(mode=0o700)
        (self.state / "pki").mkdir(mode=0o700)
        (self.state / "pki" / "cluster.key").write_text(CANARY)
        if not as_root and os.geteuid() == 0:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, ORDINARY, ORDINARY)

    def command(self, settings: dict[str, Any]) -> list[str]:
        settings = {"isolation": "sandbox", "own_user": self.own_user} | settings
        program = [__file__, str(self.state), json.dumps(settings)]
        if self._as_root or os.geteuid() != 0:
            return [sys.executable, *program]
        become = ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups"]
        return [*become, python_for_all(), *program]

    def start(self, **settings: Any) -> "subprocess.Popen[bytes]":
        """Starts the process, which reads the runs from its standard input."""
        packages = next(path for path in sys.path if path.endswith("site-packages"))
        environment = {
            "PATH": os.defpath,
            "PYTHONPATH": f"{ROOT}:{packages}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "CLUSTER_SECRET": CANARY,
        }
        return subprocess.Popen(
            self.command(settings), cwd="/", env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, runs: dict[str, list[dict[str, Any]]], **settings: Any) -> dict[str, dict[str, Ended]]:
        """Runs all `runs` (tasks by the name of the run) at once; returns how their tasks ended."""
        with self.start(**settings) as process:
            text, _ = process.communicate(json.dumps(runs).encode(), timeout=SECONDS)
        assert process.returncode == 0
        return msgspec.json.decode(text, type=dict[str, dict[str, Ended]])


@contextmanager
def cluster_of(who: str) -> Iterator[Cluster]:
    """Yields a cluster of `root` or of an ordinary `user`; skips the test where it cannot run.

    Tasks of the cluster `of root` are root without privileges, not users of their own.
    """
    if who != "user" and os.geteuid() != 0:
        pytest.skip("needs to be root")
    folder = Path(tempfile.mkdtemp(prefix="waypost-sandbox-"))
    try:
        yield Cluster(folder, as_root=who != "user", own_user=who != "of root")
    finally:
        shutil.rmtree(folder)


def task(name: str, *command: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "process", "run": {"command": list(command)}} | more


async def _main(state: str, runs: dict[str, Any], settings: dict[str, Any]) -> None:
    found: dict[str, dict[str, Any]] = {run: {} for run in runs}
    node_settings = ClusterNodeSettings(
        region="beijing", state=state, cpu=8.0, executors={"process": settings}
    )
    async with ClusterNode(node_settings) as node:
        fence = Fence(boot=(await node.probe()).boot, not_after=1e9)
        specs = tuple(
            msgspec.convert({"run": run, "tasks": tasks, "fairness_key": run}, RunSpec)
            for run, tasks in runs.items()
        )
        creates = tuple(ShardSpec(attempt=AttemptId(run=run, shard=0, epoch=1), fence=fence) for run in runs)
        await node.apply(Batch(runs=specs, creates=creates))
        open_ = set(runs)
        async for event in node.watch(0, ""):
            if isinstance(event, TaskChanged) and event.phase not in ("Running", "Retrying"):
                found[event.attempt.run][event.task] = {
                    "phase": event.phase,
                    "reason": event.reason,
                    "output": event.output,
                    "log": await _log(node, event.attempt, event.task),
                }
            elif isinstance(event, AttemptEnded):
                open_.discard(event.attempt.run)
                if not open_:
                    break
    print(json.dumps(found))


async def _log(node: ClusterNode, attempt: AttemptId, name: str) -> str:
    try:
        chunks = [chunk.text async for chunk in node.logs(attempt, name, offset=0, follow=False)]
    except ClusterError:
        return ""
    return "".join(chunks)[-20_000:]


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], json.loads(sys.stdin.read()), json.loads(sys.argv[2])))
