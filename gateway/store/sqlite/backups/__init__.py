"""Backups of the SQLite store: taken while a gateway runs, verified, and restored as a store that knows it.

A backup is a folder: `store.db`, one SQLite file without a log, and `manifest.json`, which says what it is
and has its digest. A restored store carries a mark, by which the gateway begins a new era at its next start,
and an entry in its audit trail. The package may import what `gateway/store/sqlite` may import.
"""
