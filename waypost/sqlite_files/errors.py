"""The error type for a database file that cannot be read or written."""


class StorageError(Exception):
    """Raised where a database could not be read or written; nothing was written.

    The disk is full or failing, the file is in use or damaged, or the database is closed. The same call may
    succeed later.
    """
