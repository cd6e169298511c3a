"""Opens regular files in folders to which tasks may write, and nothing else that is put in their place."""

import errno
import os
import stat
from pathlib import Path


def open_regular(path: Path, flags: int) -> int:
    """Opens a regular file and returns its descriptor; refuses links and pipes. Raises `OSError`.

    A task may have put anything at `path`: a link may lead to a file that only the cluster may read, and a
    pipe would block until somebody writes to it.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file")
    return descriptor
