"""The error of a database file."""


class StorageError(Exception):
    """Raised for a write or read of a database that failed: nothing was written or read.

    The disk is full or failing, the file is in use or damaged, or the database is closed. The same call may
    succeed later.
    """
