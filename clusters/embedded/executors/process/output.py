"""What a try has written as its result. The task made the file, so it may be anything: a pipe that nobody writes to, a link, a flood."""

import errno
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any, Final

import msgspec

from clusters.embedded.scheduling.launch import Outcome
from waypost.strict_json import distinct
from waypost.workflow.ijson import EXACT, UNFAITHFUL, text_fault

OUTPUT_BYTES: Final = 64 * 1024
NESTING: Final = 64
"""As deep as a document may be: conditions, placeholders and the gateway read it too."""


def read_output(path: Path) -> Outcome:
    """The success of a try that wrote its result to `path`, or why it is none after all. No file stands for null."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return Outcome(succeeded=True)
    except OSError as error:
        return _refused(
            "is a link, no file" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
        )
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return _refused("is no regular file")
        text = os.read(descriptor, OUTPUT_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(text) > OUTPUT_BYTES:
        return _refused(f"has more than {OUTPUT_BYTES // 1024} KiB")
    try:
        output = msgspec.json.decode(text)
        fault = _fault(output)
        if fault is None and b"{" in text:
            json.loads(text, object_pairs_hook=distinct)
    except (ValueError, msgspec.DecodeError) as error:
        return _refused(f"is not JSON: {error}")
    except RecursionError:
        return _refused(f"is nested more than {NESTING} deep")
    return Outcome(succeeded=True, output=output) if fault is None else _refused(fault)


def discard(path: Path) -> None:
    """Removes what stands there, whatever the task has made of it."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)


def _refused(what: str) -> Outcome:
    return Outcome(succeeded=False, reason=f"the output {what}")


def _fault(output: Any) -> str | None:
    """What a document may not hold either: some reader further on would take it otherwise. Level by level, which costs no stack."""
    level = [output]
    for _ in range(NESTING + 1):
        for value in level:
            if isinstance(value, int) and not -EXACT <= value <= EXACT:
                return f"holds {str(value)[:40]}, which {UNFAITHFUL}"
            if isinstance(value, str) and (fault := text_fault(value)) is not None:
                return fault
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return None
    return f"is nested more than {NESTING} deep"


def _inside(value: Any) -> list[Any]:
    """Of an object its names too: they are texts."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []
