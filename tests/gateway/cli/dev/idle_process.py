"""A process for tests that only waits, with a given command line."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def idle_process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a process that only waits, and yields it when its command line can be read."""
    command = [sys.executable, "-c", "print(flush=True); input()", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        try:
            yield process
        finally:
            process.terminate()
