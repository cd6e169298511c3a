"""The error of a database file."""


class StorageError(Exception):
    """Nothing was written or read.

    The disk is full or failing, the file is in use or damaged, or the database is closed. The same call may
    succeed later.
    """
