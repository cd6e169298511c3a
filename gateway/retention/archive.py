"""Files of an archive: JSON lines, compressed with gzip, which appear under their names when durable."""

import asyncio
import gzip
import os
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from waypost.files.permissions import make_private_folder, open_private
from waypost.sqlite_files.online_copy import sync

NEW: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY
WRITTEN_BYTES: Final = 262_144
"""The bytes of lines that are written at once."""


class ArchiveFile:
    """A new file of an archive, of JSON lines, with mode 0600. One thread at a time may use it.

    Until `finish` it has a name that ends in `.partial`: a file with its own name is complete. All methods
    raise `OSError`.
    """

    def __init__(self, folder: Path, kind: str, *, at: float) -> None:
        """Makes the file, and `folder` if it is not there. `kind` begins its name, with the time `at`."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
        self._path = folder / f"{kind}-{stamp}-{uuid.uuid4().hex[:8]}.jsonl.gz"
        self._partial = self._path.with_name(f"{self._path.name}.partial")
        _make_durable(folder)
        self._file = os.fdopen(open_private(str(self._partial), NEW), "wb")
        self._compressed = gzip.GzipFile(fileobj=self._file, mode="wb", filename="", compresslevel=6)

    @property
    def name(self) -> str:
        """The file's name when it is finished."""
        return self._path.name

    def write(self, lines: Iterable[bytes]) -> None:
        """Appends lines, each without its newline."""
        for line in lines:
            self._compressed.write(line + b"\n")

    def finish(self) -> int:
        """Makes the file durable and gives it its name; returns its size in bytes."""
        self._compressed.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.rename(self._partial, self._path)
        sync(self._path.parent)
        return self._path.stat().st_size

    def discard(self) -> None:
        """Removes the file, unless it was finished."""
        self._file.close()
        self._partial.unlink(missing_ok=True)


class LineWriter:
    """Writes lines to a file of an archive on a thread, some hundred kilobytes at a time.

    A thread for each few lines of a small run would cost more than the lines.
    """

    def __init__(self, file: ArchiveFile) -> None:
        self._file, self._size = file, 0
        self._waiting: list[bytes] = []

    async def add(self, lines: Iterable[bytes]) -> None:
        """Takes lines, each without its newline, and writes those that wait once they are many."""
        for line in lines:
            self._waiting.append(line)
            self._size += len(line)
        if self._size >= WRITTEN_BYTES:
            await self._write()

    async def finish(self) -> int:
        """Writes what waits and makes the file durable under its name; returns its size in bytes."""
        await self._write()
        return await asyncio.to_thread(self._file.finish)

    async def _write(self) -> None:
        lines, self._waiting, self._size = self._waiting, [], 0
        await asyncio.to_thread(self._file.write, lines)


def remove_partial(folder: Path) -> None:
    """Removes the files that were never finished from an archive; the folder may be missing.

    Nobody may be writing to one of them. Raises `OSError`.
    """
    for path in folder.glob("*.jsonl.gz.partial"):
        path.unlink(missing_ok=True)


def _make_durable(folder: Path) -> None:
    """Makes a folder, and those above it that are missing, and makes their names durable."""
    missing = [each for each in (folder, *folder.parents) if not each.is_dir()]
    make_private_folder(folder)
    for made in missing:
        sync(made.parent)
