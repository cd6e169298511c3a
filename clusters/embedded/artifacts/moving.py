"""Moves one artifact between a storage and a workspace, in a process of its own: what all kinds share.

A process gets one order (`Transfer`) on standard input and answers on standard output. It ends in order, with
nothing left of what it has begun, on SIGTERM and when its standard input is closed: also where the cluster
was killed.
"""

import contextlib
import errno
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import msgspec

from clusters.embedded.artifacts.folder_files import NoRegularFile, new_file, open_file
from clusters.embedded.artifacts.messages import Transfer, TransferFailed, TransferReply
from waypost.worker_process import HEADER_BYTES, NICENESS, frame
from waypost.workflow.artifacts import path_fault

PIECE_BYTES: Final = 1 << 20
END_SECONDS: Final = 10.0
"""The seconds that a process whose cluster is gone gets to take back what it has begun."""
MACHINE_FAULTS: Final = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
)
"""The errors of a machine, which another cluster may not have."""


class Content(Protocol):
    """The content of an artifact that is being fetched."""

    @property
    def size(self) -> int:
        """Returns the number of bytes that it has, as the storage says."""

    def pieces(self) -> Iterator[bytes]:
        """Yields the bytes."""


class Storage(Protocol):
    """One storage of artifacts. Its methods block, and raise `TransferFailed`."""

    def read(self, path: str) -> AbstractContextManager[Content]:
        """Opens the artifact at `path`."""

    def write(self, path: str, content: "HashedFile") -> None:
        """Stores `content` at `path`: as a whole, or nothing."""


class Ended(BaseException):
    """Raised in a transfer that is to end: by the signal handler, wherever it is."""


class HashedFile:
    """A file of a workspace that is read once, from its beginning, and hashed on the way."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self.size = file, size
        self._hash, self._read = hashlib.sha256(), 0

    def read(self, size: int) -> bytes:
        """Returns the next `size` bytes; fewer only at the end. Raises `TransferFailed` if it has changed."""
        pieces, left = [], min(size, self.size - self._read)
        while left:
            piece = self._file.read(min(left, PIECE_BYTES))
            if not piece:
                raise TransferFailed("it was changed while it was stored")
            self._hash.update(piece)
            pieces.append(piece)
            left -= len(piece)
            self._read += len(piece)
        return b"".join(pieces)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def fetch(storage: Storage, order: Transfer) -> TransferReply:
    """Copies an artifact into the workspace, where it appears as a whole; raises `TransferFailed`."""
    digest, size = hashlib.sha256(), 0
    with storage.read(order.path) as content:
        _check_size(content.size, order)
        with _workspace_faults(order), _new_workspace_file(order) as file:
            for piece in content.pieces():
                size += len(piece)
                # What a storage says of the size need not be so.
                _check_size(size, order)
                digest.update(piece)
                file.write(piece)
            if size != content.size:
                raise TransferFailed(f"it ended after {size} of {content.size} bytes", lost=True)
            if order.sha256 is not None and digest.hexdigest() != order.sha256:
                raise TransferFailed(f"its SHA-256 is {digest.hexdigest()}, not {order.sha256}")
    return TransferReply(sha256=digest.hexdigest(), bytes=size)


def _new_workspace_file(order: Transfer) -> AbstractContextManager[BinaryIO]:
    return new_file(Path(order.workspace), order.file, durable=False, like_folder=True)


def store(storage: Storage, order: Transfer) -> TransferReply:
    """Copies a file of the workspace into the storage; raises `TransferFailed`."""
    with _workspace_faults(order), open_file(Path(order.workspace), order.file) as file:
        content = HashedFile(file, os.fstat(file.fileno()).st_size)
        _check_size(content.size, order)
        storage.write(order.path, content)
        return TransferReply(sha256=content.sha256, bytes=content.size)


def _check_size(size: int, order: Transfer) -> None:
    if size > order.maximum_bytes:
        raise TransferFailed(f"it has more than {order.maximum_bytes >> 20} MiB", final=True)


@contextlib.contextmanager
def _workspace_faults(order: Transfer) -> Iterator[None]:
    """Says what is wrong with the file in the workspace, where that is the fault."""
    try:
        yield
    except NoRegularFile:
        raise TransferFailed(f"{order.file} in the workspace is no regular file") from None
    except OSError as error:
        lost = error.errno in MACHINE_FAULTS
        raise TransferFailed(f"{order.file} in the workspace: {said(error)}", lost=lost) from error


def said(error: OSError) -> str:
    """Returns what an error of a file says, for people."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "a link, or no folder, is on its way, and links are not followed"
    return error.strerror or type(error).__name__


def serve(build: Callable[[Transfer], Storage]) -> None:
    """Carries out the order on standard input with the storage that `build` makes; answers; returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    os.nice(NICENESS)
    length = int.from_bytes(sys.stdin.buffer.read(HEADER_BYTES), "big")
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(length), type=Transfer)
    threading.Thread(target=_end_with_cluster, daemon=True).start()
    try:
        # The cluster has looked already: no `..` may ever come so far.
        if path_fault(order.path) or path_fault(order.file):
            raise TransferFailed("its path is none", final=True)
        storage = build(order)
        reply = fetch(storage, order) if order.direction == "fetch" else store(storage, order)
    except TransferFailed as failed:
        reply = TransferReply(failure=str(failed), lost=failed.lost, final=failed.final)
    except Ended:
        return
    os.write(sys.stdout.fileno(), frame(msgspec.msgpack.encode(reply)))


_waits: Final = {"held": False, "asked": False}
"""Whether the end of this process waits, and whether it was asked to end meanwhile."""


@contextlib.contextmanager
def held_end() -> Iterator[None]:
    """Has the end of this process wait until the block is left, then raises `Ended` if it was asked to end.

    Inside something is begun that cannot be taken back before its answer is there.
    """
    _waits["held"] = True
    try:
        yield
    finally:
        _waits["held"] = False
    if _waits["asked"]:
        raise Ended


def _end(*_: object) -> None:
    # Once: what takes back what was begun is not interrupted.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _waits["asked"] = True
    if not _waits["held"]:
        raise Ended


def _end_with_cluster() -> None:
    """Waits until standard input is closed, which is when the cluster is gone, and ends this process."""
    os.read(sys.stdin.fileno(), 1)
    # To the main thread, which may wait in a call that only a signal of its own interrupts.
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    time.sleep(END_SECONDS)
    os._exit(1)
