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
SPARSE = "import os; os.truncate(os.open('sparse', os.O_CREAT | os.O_WRONLY), 10 << 30)"
TEMPORARY = "file = open('/tmp/x', 'wb')\nfor _ in range(64): file.write(bytes(1 << 20)); file.flush()"
SHARED = """
import mmap, time
x = mmap.mmap(-1, 300 << 20)
for at in range(0, len(x), 4096): x[at] = 1
time.sleep(60)
"""
IN_MEMORY = """
import os, time
files = [os.memfd_create('x') for _ in range(6)]
for file in files: os.write(file, bytes(50 << 20))
time.sleep(60)
"""
PIPES = """
import os
pipes = []
try:
    while True:
        pipes.append(os.pipe())
        os.set_blocking(pipes[-1][1], False)
        os.write(pipes[-1][1], bytes(65536))
except OSError as error:
    print(len(pipes), error)
"""


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
        (SPARSE, {"workspace_mib": 8}, "exit code 1; a file may have 8 MiB (executor.process.workspace_mib)"),
        (
            TEMPORARY,
            {"tmp_mib": 8},
            "exit code 1; the disk is full, or /tmp, which may have 8 MiB (executor.process.tmp_mib)",
        ),
        (
            SHARED,
            {"memory_mib": 100},
            "where 100 MiB are permitted (executor.process.memory_mib)",
        ),
        (
            IN_MEMORY,
            {"memory_mib": 100},
            "where 100 MiB are permitted (executor.process.memory_mib)",
        ),
        (SPIN, {"cpu_seconds": 1}, "a process may use a processor for 1 s (executor.process.cpu_seconds)"),
    ],
    ids=[
        *("fork bomb", "zombies", "memory", "large file", "many files"),
        *("sparse file", "full /tmp", "shared memory", "files in memory", "processor"),
    ],
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


def test_a_command_that_is_too_long_is_a_failure_with_that_reason(cluster: Cluster) -> None:
    """One argument may have 128 KiB, whatever the document permits."""
    ended = cluster.run({"run": [task("a", "true", "x" * 140_000)]})

    assert (
        ended["run"]["a"].reason == "exit code 126; its command and env are longer than this machine permits"
    )


def test_open_files_end_where_its_limit_is(cluster: Cluster) -> None:
    """Each process has its own; what pipes hold of the kernel's memory is bounded by their number."""
    pipes = task("a", PYTHON, "-c", PIPES, timeoutSeconds=60)
    modest = "i=0; while test $i -lt 30; do i=$((i+1)); echo x | cat > /dev/null || exit 9; sleep 0.02; done"
    ended = cluster.run({"run": [pipes], "modest": [task("a", "sh", "-c", modest)]})

    assert "Too many open files" in ended["run"]["a"].log
    assert ended["modest"]["a"].phase == "Succeeded"


def test_a_flood_of_its_log_is_cut(cluster: Cluster) -> None:
    """The log says so itself; the task has not failed."""
    ended = cluster.run({"run": [task("a", PYTHON, "-c", FLOOD)]})

    assert ended["run"]["a"].phase == "Succeeded"
    (log,) = cluster.state.rglob("a.log")
    assert log.stat().st_size < 17_000_000
    assert b"the log grew too long" in log.read_bytes()
