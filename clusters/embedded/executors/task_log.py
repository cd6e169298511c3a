"""Appends to the log file of a task, for executors whose tasks do not write to it themselves."""

import contextlib
import os
from pathlib import Path

from clusters.embedded.storage.regular_files import open_regular


def append_to_log(log: Path, text: str) -> None:
    """Appends `text` and the end of the line to a task's log. Errors are ignored.

    A full disk must not make a failure of a task that succeeded. Blocks as long as a write to a file does.
    """
    with contextlib.suppress(OSError):
        descriptor = open_regular(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        with open(descriptor, "wb") as file:
            file.write(text.encode(errors="replace") + b"\n")
