"""Makes the `/etc` that tasks see: a copy of what programs need of the machine's, without anything secret.

One folder is mounted into a sandbox sooner than forty files.
"""

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import Final

from waypost.files.permissions import make_private_folder

COPIED: Final = (
    *("passwd", "group", "hostname", "nsswitch.conf", "host.conf", "gai.conf", "services", "protocols"),
    *("networks", "localtime", "timezone", "locale.alias", "mime.types", "magic", "magic.mime", "inputrc"),
    *("ssl", "pki", "ca-certificates", "ca-certificates.conf", "crypto-policies", "ld.so.cache"),
    *("ld.so.conf", "ld.so.conf.d", "alternatives", "os-release", "debian_version", "python3", "perl"),
    *("fonts", "java-11-openjdk", "java-17-openjdk", "java-21-openjdk"),
)
"""The entries of /etc that are copied when the cluster starts."""
LIVE: Final = ("hosts", "resolv.conf")
"""The entries that change while the cluster runs, when its network does."""
FILE_BYTES: Final = 4 * 1_048_576


def make_etc_view(folder: Path) -> None:
    """Makes `folder` a copy of the entries `COPIED` of /etc, as far as every user may read them.

    Blocks. Raises `OSError` where the folder cannot be written.
    """
    shutil.rmtree(folder, ignore_errors=True)
    make_private_folder(folder.parent)
    folder.mkdir()
    folder.chmod(0o755)
    for name in LIVE:
        # Something to mount them on.
        (folder / name).touch(mode=0o644)
    for name in COPIED:
        _copy(Path("/etc") / name, folder / name)


def _copy(source: Path, target: Path) -> None:
    """Copies a file, link or folder for everybody to read; leaves out what not everybody may read."""
    with contextlib.suppress(OSError):
        found = source.lstat()
        if stat.S_ISLNK(found.st_mode):
            target.symlink_to(os.readlink(source))
        elif stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_IROTH and found.st_mode & stat.S_IXOTH:
            target.mkdir(mode=0o755)
            target.chmod(0o755)
            for name in os.listdir(source):
                _copy(source / name, target / name)
        elif stat.S_ISREG(found.st_mode) and found.st_mode & stat.S_IROTH and found.st_size <= FILE_BYTES:
            shutil.copyfile(source, target)
            target.chmod(0o644)
