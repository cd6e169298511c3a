"""Checks the structure of a SQLite database file when it is opened."""

import sqlite3
import time


def check_file(db: sqlite3.Connection, seconds: float) -> None:
    """Checks the structure of a SQLite database (which finds overwritten pages) for at most `seconds`.

    Raises `sqlite3.DatabaseError` where it is damaged. Damage in pages that the check does not reach in that
    time is found when they are read.
    """
    until = time.monotonic() + seconds
    db.set_progress_handler(lambda: time.monotonic() > until, 10_000)
    try:
        found = db.execute("pragma quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        # Interrupted by the handler: the time is up.
        if time.monotonic() <= until:
            raise
        found = ("ok",)
    finally:
        db.set_progress_handler(None, 0)
    if found[0] != "ok":
        raise sqlite3.DatabaseError(" ".join(str(found[0]).split()))
