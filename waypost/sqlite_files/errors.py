"""The error `StorageError`, raised for a database file that cannot be read or written; SQLite's errors."""

import sqlite3


class StorageError(Exception):
    """Raised where a database file could not be read or written; of a failed write nothing is stored.

    The disk is full or failing, the file is in use or damaged, or the database is closed. The same call may
    succeed later.
    """


def is_fault(error: Exception) -> bool:
    """Returns whether an error is a fault of the database (locked, full, damaged), not of a statement."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError
