"""Locks and checks a SQLite database file, which one process owns; has its errors and checks disk space.

`errors` has the error type. Imports nothing else of this project.
"""
