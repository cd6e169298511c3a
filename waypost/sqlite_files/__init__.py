"""Locks a SQLite database file, checks its structure and its disk space, and defines its error type.

`errors` has the error type. Imports nothing else of this project.
"""
