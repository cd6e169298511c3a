"""Writes the secrets of a try that it gets as files, and removes them when it has ended."""

import contextlib
import os
import shutil
from pathlib import Path

from clusters.embedded.secrets.values import Secrets
from waypost.files.permissions import make_private_folder


def write_secrets(folder: Path, secrets: Secrets) -> None:
    """Writes the secrets that are files to `folder`, each with mode 0400. Raises `OSError`."""
    # Of a try before this one whose cluster was killed.
    remove_secrets(folder, secrets)
    if secrets.files:
        make_private_folder(folder)
    for name, value in secrets.files.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        with open(descriptor, "wb") as file:
            file.write(value)


def remove_secrets(folder: Path, secrets: Secrets) -> None:
    """Removes the files of secrets, and their folder unless a task has put something else there."""
    for name in secrets.files:
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def remove_all_secrets(root: Path) -> None:
    """Removes the secrets of all tries, which a cluster that was killed has left. Blocks."""
    shutil.rmtree(root, ignore_errors=True)
