"""Lock, structure check, disk space and errors of a SQLite database file, which one process owns.

`errors` has the one error. Imports nothing else of this project.
"""
