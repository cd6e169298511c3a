"""Tests how the memory is measured that processes share: by what they map, and by files in memory."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from clusters.embedded.executors.process.sandbox.shared_memory import shared_memory_fault

pytestmark = pytest.mark.integration
READY = "\nimport sys; print(flush=True); sys.stdin.read()"
MAPPED = "import mmap, os\nx = mmap.mmap(-1, 16 << 20)\nfor at in range(0, len(x), 4096): x[at] = 1"
FILE = "import os\nfile = os.memfd_create('x'); os.write(file, bytes(16 << 20))"
FOUR_TIMES = """
ready = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        # A fork has none of it mapped until it reads there.
        for at in range(0, 16 << 20, 4096): x[at]
        os.write(ready[1], b'.'); os.close(ready[1]); os.read(0, 1); os._exit(0)
for _ in range(3): os.read(ready[0], 1)
"""


@contextmanager
def running(script: str) -> Iterator[int]:
    """Yields the process id of a script that has done what it does, and waits."""
    with subprocess.Popen(
        [sys.executable, "-c", script + READY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid


@pytest.mark.parametrize("script", [MAPPED, FILE, MAPPED + FOUR_TIMES], ids=["mapped", "file", "by many"])
def test_what_processes_share_is_counted_once(script: str) -> None:
    """However many of them have it mapped."""
    with running(script) as pid:
        fault = shared_memory_fault(pid, 8 << 20, "a setting")
        assert fault == "its processes share 16 MiB of memory, where 8 MiB are permitted (a setting)"
        assert shared_memory_fault(pid, 24 << 20, "a setting") == ""


def test_what_has_not_begun_or_is_gone_shares_nothing() -> None:
    with running("") as pid:
        assert shared_memory_fault(pid, 8 << 20, "a setting") == ""
    assert shared_memory_fault(pid, 1, "a setting") == ""
    assert shared_memory_fault(None, 1, "a setting") == ""
