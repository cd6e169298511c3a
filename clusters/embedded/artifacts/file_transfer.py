"""The program that moves artifacts of kind `file`, and `FolderStorage`, a folder as a storage."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from clusters.embedded.artifacts.folder_files import NoRegularFile, new_file, open_file
from clusters.embedded.artifacts.messages import Transfer, TransferFailed
from clusters.embedded.artifacts.moving import PIECE_BYTES, HashedFile, said, serve

OF_THE_PATH: Final = frozenset(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ENOTEMPTY,
        errno.EEXIST,
    )
)
"""The errors that come from the path that a document names; others come from the storage."""


class FileContent:
    """The content of a file. Implements `Content`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.size = file, os.fstat(file.fileno()).st_size

    def pieces(self) -> Iterator[bytes]:
        while piece := self._piece():
            yield piece

    def _piece(self) -> bytes:
        with _faults():
            return self._file.read(PIECE_BYTES)


class FolderStorage:
    """A folder of this machine as a storage. Implements `Storage`."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            # A file system that is not mounted now, for one.
            raise TransferFailed("its storage's folder is not there", lost=True)
        self._folder = folder

    def __repr__(self) -> str:
        return f"FolderStorage({self._folder})"

    @contextmanager
    def read(self, path: str) -> Iterator[FileContent]:
        with _faults(), open_file(self._folder, path) as file:
            yield FileContent(file)

    def write(self, path: str, content: HashedFile) -> None:
        with _faults(), new_file(self._folder, path, durable=True, like_folder=False) as file:
            while piece := content.read(PIECE_BYTES):
                file.write(piece)


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except NoRegularFile:
        raise TransferFailed("it is no regular file") from None
    except OSError as error:
        raise TransferFailed(said(error), lost=error.errno not in OF_THE_PATH) from error


def build(order: Transfer) -> FolderStorage:
    assert order.storage.folder is not None, "the storage is a folder"
    return FolderStorage(Path(order.storage.folder))


if __name__ == "__main__":
    serve(build)
