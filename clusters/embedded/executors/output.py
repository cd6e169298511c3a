"""Writes the JSON input of a try; reads and checks the JSON output that it has written to a file.

The task created the file, so it may be anything: a pipe that nobody writes to, a link to a file of the
cluster, gigabytes.
"""

import asyncio
import contextlib
import errno
import json
import os
import stat
import uuid
from pathlib import Path

import msgspec

from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.protocol import OUTPUT_BYTES
from waypost.distinct_names import distinct
from waypost.workflow.ijson_limits import NESTING, value_fault


async def write_input(path: Path, launch: Launch) -> None:
    """Writes the JSON input of a try to a new file, on a thread where it may be large. Raises `OSError`."""
    if launch.large_input:
        # A thousand instances may begin at once, each with all outputs of the tasks before.
        await asyncio.to_thread(lambda: write_new(path, msgspec.json.encode(launch.input)))
    else:
        write_new(path, msgspec.json.encode(launch.input))


def read_output(path: Path) -> Outcome:
    """Reads the JSON output file of a command that succeeded; returns the task's outcome.

    The outcome is a success with that value, or a failure that says what is wrong with the file. A missing
    file counts as the value null.
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
    return checked_output(text)


def checked_output(text: bytes) -> Outcome:
    """Parses the JSON output of a try that succeeded; returns the outcome: that value, or what is wrong.

    `text` may be cut off after `OUTPUT_BYTES + 1`, which says that there is more.
    """
    if len(text) > OUTPUT_BYTES:
        return _failure(f"has more than {OUTPUT_BYTES // 1024} KiB")
    try:
        output = msgspec.json.decode(text)
        fault = value_fault(output)
        # What travels is encoded again, which can be longer: `1e15` becomes 1000000000000000.0.
        if fault is None and len(msgspec.json.encode(output)) > OUTPUT_BYTES:
            fault = f"has more than {OUTPUT_BYTES // 1024} KiB"
        if fault is None and b"{" in text:
            # msgspec keeps the last of two equal names; only the parser of the standard library can refuse
            # them.
            json.loads(text, object_pairs_hook=distinct)
    except (ValueError, msgspec.DecodeError) as error:
        return _failure(f"is not JSON: {error}")
    except RecursionError:
        return _failure(f"is nested more than {NESTING} deep")
    return Outcome(succeeded=True, output=output) if fault is None else _failure(fault)


def write_new(path: Path, content: bytes) -> None:
    """Writes `content` to a new file at `path`, after removing whatever a task has put at that path."""
    remove(path)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)


def remove(path: Path) -> None:
    """Deletes the file or link at `path`, or renames the folder that is in its place. Errors are ignored.

    A folder may hold any number of files, so it is deleted later, with the scratch folder, off the event
    loop.
    """
    with contextlib.suppress(OSError):
        try:
            path.unlink(missing_ok=True)
        except IsADirectoryError:
            path.rename(path.with_name(f"aside-{uuid.uuid4().hex}"))


def _failure(what: str) -> Outcome:
    return Outcome(succeeded=False, reason=f"the output {what}")
