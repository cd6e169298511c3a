"""The error `StorageError`, raised for a database file that cannot be read or written."""


class StorageError(Exception):
    """Raised where a database file could not be read or written; of a failed write nothing is stored.

    The disk is full or failing, the file is in use or damaged, or the database is closed. The same call may
    succeed later.
    """
