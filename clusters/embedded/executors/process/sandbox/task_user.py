"""Chooses the user that tasks of root's cluster run as, one for each fairness key, and gives it its files."""

import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

FIRST_USER: Final = 1_900_000_000
USERS: Final = 65_536
"""The ids from `FIRST_USER` on are assigned to nobody, neither by distributions nor for containers."""


def user_of(fairness_key: str) -> int:
    """Returns the id of the user and group that tasks of `fairness_key` run as: always the same.

    Two keys may share one, seldom: a sandbox, not its user, keeps tasks apart.
    """
    return FIRST_USER + zlib.crc32(fairness_key.encode()) % USERS


def give_to(user: int, folders: Iterable[Path], file: Path) -> None:
    """Makes `user` the owner of `file` and `folders`, and of what an earlier cluster has put in these.

    Blocks. Raises `OSError`.
    """
    # Not through a link: another task of the shard may have put one there.
    os.chown(file, user, user, follow_symlinks=False)
    for folder in folders:
        if os.stat(folder).st_uid == user:
            continue
        # By descriptors: another task of the shard may put a link in the place of a folder meanwhile.
        for _, names, files, opened in os.fwalk(folder):
            for name in (*names, *files):
                os.chown(name, user, user, dir_fd=opened, follow_symlinks=False)
        # Last: a folder that belongs to the user is done.
        os.chown(folder, user, user)
