"""Tests tasks that take all they can get, on a cluster of root and of an ordinary user, beside a modest one.

Each is bounded by numbers of its own too, far below what would hurt the machine that runs the tests.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clusters.embedded.executors.process.sandbox.isolated_cluster import (
    Cluster,
    cluster_of,
    needs_sandbox,
    task,
)

pytestmark = [pytest.mark.integration, needs_sandbox]
PYTHON = "/usr/bin/python3"
FORKS = """
import os, time
for _ in range(400):
    if os.fork() == 0:
        time.sleep(30)
        os._exit(0)
"""
ZOMBIES = """
import os, sys
for count in range(3000):
    try:
        if os.fork() == 0: os._exit(0)
    except BlockingIOError:
        print(count, "zombies"); raise
"""
MEMORY = "x = []\nfor _ in range(300): x.append(bytearray(1 << 20))"
FLOOD = "import os\nfor _ in range(60): os.write(1, b'x' * 1_000_000)"
LARGE = "file = open('large', 'wb')\nfor _ in range(64): file.write(bytes(1 << 20)); file.flush()"
MANY = """
import time
for n in range(64): open(f'file-{n}', 'wb').write(bytes(1 << 20))
time.sleep(60)
"""
SPIN = "while True: pass"


@pytest.fixture(params=["root", "user"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with cluster_of(request.param) as cluster:
        yield cluster


@pytest.mark.parametrize(
    ("script", "settings", "reason"),
    [
        (FORKS, {"processes": 60}, "exit code 1; it may have 60 processes (executor.process.processes)"),
        (ZOMBIES, {"processes": 60}, "exit code 1; it may have 60 processes (executor.process.processes)"),
        (
            MEMORY,
            {"memory_mib": 100},
            "exit code 1; a process may have 100 MiB of memory (executor.process.memory_mib)",
        ),
        (
            LARGE,
            {"workspace_mib": 8},
            "exit code 1; a file may have 8 MiB (executor.process.workspace_mib)",
        ),
        (MANY, {"workspace_mib": 8}, "MiB, where 8 MiB are permitted (executor.process.workspace_mib)"),
        (SPIN, {"cpu_seconds": 1}, "a process may use a processor for 1 s (executor.process.cpu_seconds)"),
    ],
    ids=["fork bomb", "zombies", "memory", "large file", "many files", "processor"],
)
def test_it_is_bounded_and_told_why(
    cluster: Cluster, script: str, settings: dict[str, Any], reason: str
) -> None:
    """And its neighbor, of another tenant, is not harmed."""
    modest = "i=0; while test $i -lt 30; do i=$((i+1)); sh -c true || exit 9; sleep 0.05; done"
    runs = {
        "greedy": [task("a", PYTHON, "-c", script, timeoutSeconds=60)],
        "modest": [task("a", "sh", "-c", modest)],
    }
    ended = cluster.run(runs, **settings)

    assert ended["greedy"]["a"].phase == "Failed"
    assert ended["greedy"]["a"].reason.endswith(reason)
    assert ended["modest"]["a"].phase == "Succeeded", ended["modest"]["a"]


def test_a_flood_of_its_log_is_cut(cluster: Cluster) -> None:
    """The log says so itself; the task has not failed."""
    ended = cluster.run({"run": [task("a", PYTHON, "-c", FLOOD)]})

    assert ended["run"]["a"].phase == "Succeeded"
    (log,) = cluster.state.rglob("a.log")
    assert log.stat().st_size < 17_000_000
    assert b"the log grew too long" in log.read_bytes()
