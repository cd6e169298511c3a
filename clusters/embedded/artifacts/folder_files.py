"""Opens and replaces files below a folder that others write to: without following any link. Blocks."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NoRegularFile(Exception):
    """Raised for a path at which there is something else than a file: a folder, a pipe, a device."""


@contextmanager
def open_file(folder: Path, path: str) -> Iterator[BinaryIO]:
    """Opens the regular file at the relative `path` below `folder`, to be read, while the context is open.

    Raises `OSError` (for a link too, wherever in the path it is) and `NoRegularFile`.
    """
    parts = path.split("/")
    with _open_parent(folder, parts[:-1], make=False) as parent:
        # O_NONBLOCK: opening a pipe would wait for its writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(parts[-1], flags, dir_fd=parent)
    with open(descriptor, "rb", buffering=0, closefd=True) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NoRegularFile
        yield file


@contextmanager
def new_file(folder: Path, path: str, *, durable: bool, like_folder: bool) -> Iterator[BinaryIO]:
    """Writes a file below `folder` that appears at the relative `path` when the context ends, as a whole.

    Where the context ends by an exception, there is nothing new. What was there is replaced; folders that are
    missing are made. `durable`: it outlasts a loss of power. `like_folder`: file and folders get the owner of
    `folder`. Raises `OSError`.
    """
    parts = path.split("/")
    with _open_parent(folder, parts[:-1], make=True, like_folder=like_folder) as parent:
        part = f".waypost-{secrets.token_hex(8)}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(part, flags, 0o666, dir_fd=parent)
        try:
            with open(descriptor, "wb") as file:
                if like_folder:
                    _give(descriptor, folder)
                yield file
                file.flush()
                if durable:
                    os.fsync(descriptor)
            os.rename(part, parts[-1], src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part, dir_fd=parent)
            raise
        if durable:
            os.fsync(parent)


@contextmanager
def _open_parent(folder: Path, names: list[str], *, make: bool, like_folder: bool = False) -> Iterator[int]:
    """Opens the folder that `names` lead to below `folder`; yields its descriptor."""
    # The way to the folder itself is the operator's, and may have links.
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            made = False
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o777, dir_fd=opened)
                    made = True
            below = os.open(name, FOLDER, dir_fd=opened)
            os.close(opened)
            opened = below
            if made and like_folder:
                _give(opened, folder)
        yield opened
    finally:
        os.close(opened)


def _give(descriptor: int, folder: Path) -> None:
    """Makes the owner of `folder` the owner of what was opened, where this process is root."""
    if os.geteuid() == 0:
        owner = os.stat(folder)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
