"""Reads the result that a try has written to its output file.

The task made the file, so it may be anything: a pipe that nobody writes to, a link to a file of the cluster,
a flood.
"""

import errno
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any, Final

import msgspec

from clusters.embedded.scheduling.launch import Outcome
from waypost.distinct_names import distinct
from waypost.workflow.ijson_limits import EXACT, UNFAITHFUL, text_fault

OUTPUT_BYTES: Final = 64 * 1024
NESTING: Final = 64
"""Most levels of nesting in an output, as in documents.

Conditions, placeholders and the gateway read outputs like documents.
"""


def read_output(path: Path) -> Outcome:
    """The outcome of a try whose command succeeded: a success with the JSON value in `path`, or a failure.

    The failure says what is wrong with the file. A missing file is the value null.
    """
    try:
        # O_NOFOLLOW: no file that only the cluster may read. O_NONBLOCK: opening a pipe would wait for its
        # writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return Outcome(succeeded=True)
    except OSError as error:
        return _failure(
            "is a link, no file" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
        )
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return _failure("is no regular file")
        text = os.read(descriptor, OUTPUT_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(text) > OUTPUT_BYTES:
        return _failure(f"has more than {OUTPUT_BYTES // 1024} KiB")
    try:
        output = msgspec.json.decode(text)
        fault = _ijson_fault(output)
        if fault is None and b"{" in text:
            # msgspec keeps the last of two equal names; only the parser of the standard library can refuse
            # them.
            json.loads(text, object_pairs_hook=distinct)
    except (ValueError, msgspec.DecodeError) as error:
        return _failure(f"is not JSON: {error}")
    except RecursionError:
        return _failure(f"is nested more than {NESTING} deep")
    return Outcome(succeeded=True, output=output) if fault is None else _failure(fault)


def remove(path: Path) -> None:
    """Removes what is at `path`: a file, a link, or a folder with all that it holds. Errors are ignored."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)


def _failure(what: str) -> Outcome:
    return Outcome(succeeded=False, reason=f"the output {what}")


def _ijson_fault(output: Any) -> str | None:
    """The limit of documents (I-JSON, nesting) that `output` breaks, in words; None where it breaks none.

    A later reader would read such a value differently. Goes level by level rather than recursively, so that a
    deep value cannot exhaust the stack.
    """
    level = [output]
    for _ in range(NESTING + 1):
        for value in level:
            if isinstance(value, int) and not -EXACT <= value <= EXACT:
                return f"holds {str(value)[:40]}, which {UNFAITHFUL}"
            if isinstance(value, str) and (fault := text_fault(value)) is not None:
                return fault
        level = [inner for outer in level for inner in _values_within(outer)]
        if not level:
            return None
    return f"is nested more than {NESTING} deep"


def _values_within(value: Any) -> list[Any]:
    """The items of an array, the names and values of an object, or nothing.

    Names have the limits of texts too.
    """
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []
