"""Reads from a stopped stack's database which policy bundles it has, and the archive of the active one."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec import Struct

from gateway.policy.rollout.bundle_states import Rollout


class StoredBundles(Struct, frozen=True, kw_only=True):
    """The rollout that a stack's database has, and the archive of its active bundle; None without one."""

    rollout: Rollout = Rollout()
    active: bytes | None = None


def read_stored_bundles(database: Path) -> StoredBundles:
    """Reads the rollout and the active bundle from the SQLite file `database`, and changes nothing there.

    A database that is missing, damaged or of an older schema has none: the gateway, which opens it next, says
    what is wrong with it.
    """
    if not database.exists():
        return StoredBundles()
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as store:
            row = store.execute("select state from policy_rollout").fetchone()
            rollout = Rollout() if row is None else msgspec.json.decode(row[0], type=Rollout)
            wanted = (-1 if rollout.active is None else rollout.active.sequence,)
            found = store.execute("select archive from policy_bundle where sequence = ?", wanted).fetchone()
    except (sqlite3.Error, msgspec.DecodeError):
        return StoredBundles()
    return StoredBundles(rollout=rollout, active=None if found is None else bytes(found[0]))
