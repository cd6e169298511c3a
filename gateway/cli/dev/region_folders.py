"""Puts the folder of a stack's regions, where tasks run, outside the stack's folder, away from its keys.

Tasks run as the user of `waypost up`, in folders below their region's. From there no relative path that is
the same in every stack may lead to the keys of the gateway and of the development issuer. So `regions` in the
stack's folder is a link to a folder with a random name elsewhere.
"""

import os
import secrets
import shutil
from pathlib import Path
from typing import Final

from waypost.files.permissions import make_private_folder

REGIONS: Final = "regions"
"""The name of the regions' folder, or of the link to it, in a stack's folder."""


def _elsewhere() -> Path:
    state_home = os.environ.get("XDG_STATE_HOME", "")
    # As the XDG specification says, a relative path is not valid and ignored.
    base = Path(state_home) if Path(state_home).is_absolute() else Path.home() / ".local" / "state"
    return base / "waypost"


def set_regions_apart(state: Path) -> None:
    """Creates a folder for the regions outside the stack's folder `state`, and a link to it.

    An existing link stays; an existing folder, as older versions made it, is moved and replaced by a link.
    Raises `OSError` if the file system refuses one of these changes.
    """
    link = state / REGIONS
    if link.is_symlink():
        make_private_folder(link.resolve())
        return
    folder = _elsewhere() / f"{REGIONS}-{secrets.token_hex(16)}"
    make_private_folder(folder.parent)
    if link.exists():
        shutil.move(link, folder)
    else:
        make_private_folder(folder)
    link.symlink_to(folder)


def remove_regions(state: Path) -> None:
    """Removes the regions' folder that `set_regions_apart` made, and the link to it.

    If the link leads to a folder that somebody else made, only the link is removed. Raises `OSError` if the
    file system refuses.
    """
    link = state / REGIONS
    if not link.is_symlink():
        return
    folder = link.resolve()
    if folder.parent == _elsewhere().resolve() and folder.is_dir():
        shutil.rmtree(folder)
    link.unlink()
