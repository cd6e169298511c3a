"""Finds, in the log of a process that did not start, the reason that the terminal shows."""

import json
from pathlib import Path
from typing import Final

TAIL_BYTES: Final = 65_536
SHOWN_MAXIMUM: Final = 2
"""The maximum number of error lines of a log that are shown."""
WIDTH_MAXIMUM: Final = 1_000


def why_no_start(log: Path, *, since: int = 0) -> tuple[str, ...]:
    """Returns the last errors in the JSON lines of a log file, each once, and a line that names the file.

    What an earlier start has written, up to the byte `since`, is left out.
    """
    found: dict[str, None] = {}
    try:
        with log.open("rb") as file:
            file.seek(max(since, log.stat().st_size - TAIL_BYTES))
            for line in file:
                if said := _error_of(line):
                    found.pop(said, None)
                    found[said] = None
    except OSError:
        pass  # the line that names the log is left
    return (*list(found)[-SHOWN_MAXIMUM:], f"Its log: {log}")


def _error_of(line: bytes) -> str:
    """Returns what a log line of level error says: `message` of our processes, `msg` of OPA; else nothing."""
    try:
        entry = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(entry, dict) or str(entry.get("level")).lower() not in ("error", "critical", "fatal"):
        return ""
    return str(entry.get("message") or entry.get("msg") or "")[:WIDTH_MAXIMUM]
