"""Removes folders that tasks have filled, whatever their size, depth and permissions.

A removal blocks for as long as there are files, so it belongs on a thread; `move_aside` takes effect at once.
"""

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Callable
from pathlib import Path

FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
ROUNDS = 3
"""The most attempts to empty a folder that fills again meanwhile; then it is left for the next time."""


def move_aside(path: Path, folder: Path) -> None:
    """Moves what is at `path` into `folder` under a new name; does nothing if nothing is there.

    `path` and `folder` must be on one disk, so that this is a rename, however many files there are. If the
    disk is too full to create `folder`, a folder at `path` becomes `folder` itself. Raises `OSError`.
    """
    for _ in range(ROUNDS):
        try:
            make_folder(folder)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not path.is_dir():
                raise
            # Not even a folder has room: what takes it becomes that folder itself, to be emptied.
            _rename(str(path), str(folder))
            return
        # `folder` may be removed, when it is empty, just before the rename.
        with contextlib.suppress(FileNotFoundError):
            _rename(str(path), str(folder / uuid.uuid4().hex))
            return
        if not os.path.lexists(path):
            return


def make_folder(path: Path) -> None:
    """Makes the folder `path`, in place of a file or link that a task has put there. Raises `OSError`."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if not stat.S_ISDIR(path.lstat().st_mode):
        path.unlink()
        path.mkdir(mode=0o700)


def remove_tree(root: Path, stopped: Callable[[], bool]) -> list[OSError]:
    """Removes the folder `root` with its content; returns the errors of entries that cannot be removed.

    Goes on with the rest after an error, and ends early when `stopped()`. Each inner folder is moved up into
    `root` and emptied there: so no depth exhausts the stack, the descriptors, or the length of a path.
    """
    try:
        descriptor = _open_folder(str(root), None)
    except FileNotFoundError:
        return []
    except OSError as error:
        return [error]
    try:
        errors = _empty(descriptor, stopped)
    finally:
        os.close(descriptor)
    # Not empty where something cannot be removed, or was moved here meanwhile.
    with contextlib.suppress(OSError):
        root.rmdir()
    return errors


def _empty(root: int, stopped: Callable[[], bool]) -> list[OSError]:
    errors: dict[str, OSError] = {}
    removed_any = True
    while removed_any and not stopped():
        removed_any = False
        with os.scandir(root) as entries:
            for entry in entries:
                # What could not be removed once is not tried again in this call.
                if entry.name in errors or stopped():
                    continue
                try:
                    _remove(root, entry.name, stopped)
                    removed_any = True
                # Removed meanwhile, by a process that still runs.
                except FileNotFoundError:
                    pass
                except OSError as error:
                    errors[entry.name] = error
    return list(errors.values())


def _remove(root: int, name: str, stopped: Callable[[], bool]) -> None:
    """Removes the entry `name` of the folder `root`; moves the folders inside it up to `root` first.

    Raises `OSError`.
    """
    try:
        os.unlink(name, dir_fd=root)
        return
    # A folder is emptied first, below.
    except IsADirectoryError:
        pass
    failure: OSError | None = None
    # A process that still runs may add entries between the emptying and the removal.
    for _ in range(ROUNDS):
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=root)
            return
        if stopped():
            return
        folder = _open_folder(name, root)
        try:
            failure = _move_up(folder, root, stopped)
        finally:
            os.close(folder)
    try:
        os.rmdir(name, dir_fd=root)
    except OSError as error:
        raise failure or error from None


def _move_up(folder: int, root: int, stopped: Callable[[], bool]) -> OSError | None:
    """Removes the files of `folder` and moves its folders to `root`; returns the last error, or None."""
    failure = None
    with os.scandir(folder) as entries:
        for entry in entries:
            if stopped():
                break
            try:
                # Moved up rather than entered: so no depth of folders exhausts stack or descriptors.
                if entry.is_dir(follow_symlinks=False):
                    _rename(entry.name, uuid.uuid4().hex, folder, root)
                else:
                    os.unlink(entry.name, dir_fd=folder)
            # Removed meanwhile, as above.
            except FileNotFoundError:
                pass
            except OSError as error:
                failure = error
    return failure


def _rename(name: str, to: str, parent: int | None = None, to_parent: int | None = None) -> None:
    try:
        os.rename(name, to, src_dir_fd=parent, dst_dir_fd=to_parent)
    except PermissionError:
        # A folder that its owner may not write to cannot get another parent.
        os.close(_open_folder(name, parent))
        os.rename(name, to, src_dir_fd=parent, dst_dir_fd=to_parent)


def _open_folder(name: str, parent: int | None) -> int:
    """Opens a folder, with permissions for its owner to read and empty it, and returns its descriptor."""
    found = os.open(name, os.O_PATH | FOLDER, dir_fd=parent)
    try:
        if os.fstat(found).st_mode & stat.S_IRWXU != stat.S_IRWXU:
            # Linux has no fchmod(2) for a descriptor that needs no permission to be opened (O_PATH).
            os.chmod(f"/proc/self/fd/{found}", stat.S_IRWXU)
        return os.open(".", os.O_RDONLY | FOLDER, dir_fd=found)
    finally:
        os.close(found)
