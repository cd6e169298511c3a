"""Creates files and folders that only their owner may access, and removes wider permissions of old ones."""

import os
import stat
from pathlib import Path

from loguru import logger

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private_folder(folder: Path) -> None:
    """Creates `folder` and its missing parents, all with mode 0700 (for the owner alone).

    Existing folders stay as they are. (`Path.mkdir` creates parents as wide as the umask lets it.) Raises
    `OSError`.
    """
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


def open_private(path: str, flags: int) -> int:
    """Opens a file, creating it with mode 0600 (for its owner alone); an `opener` for Python's `open`.

    Raises `OSError`.
    """
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def write_private(path: Path, content: bytes) -> None:
    """Writes a file with mode 0600 (for the owner alone), also over an existing file. Raises `OSError`."""
    with open(path, "wb", opener=open_private) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)


def narrow(path: Path) -> None:
    """Removes other users' permissions from a file or folder that an older version created, and logs it.

    Does nothing where the path does not exist. If it belongs to another owner, logs that and leaves it.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & OTHERS:
            path.chmod(mode & ~OTHERS)
            logger.warning("{} could be read by others ({:03o}): it is its owner's alone now", path, mode)
    except FileNotFoundError:
        pass
    except PermissionError as error:
        logger.warning("{} can be read by others, and stays so: {}", path, error.strerror)
