"""What a try has written as its result. The task made the file, so it may be anything: a pipe that nobody writes to, a link, a flood."""

import errno
import os
import shutil
import stat
from pathlib import Path
from typing import Any, Final

import msgspec

from clusters.embedded.state import Outcome

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
        return _refused("is a link, no file" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}")
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
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _refused(f"is not JSON: {error}")
    except RecursionError:
        return _refused(f"is nested more than {NESTING} deep")
    return Outcome(succeeded=True, output=output) if _depth(output) <= NESTING else _refused(f"is nested more than {NESTING} deep")


def discard(path: Path) -> None:
    """Removes what stands there, whatever the task has made of it."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)


def _refused(what: str) -> Outcome:
    return Outcome(succeeded=False, reason=f"the output {what}")


def _depth(value: Any) -> int:
    """How many containers that hold something are in one another, counted level by level."""
    depth, level = 0, [value]
    while level := [inner for outer in level for inner in _inside(outer)]:
        depth += 1
    return depth


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
