"""The file of a SQLite database: `lock` makes it one process's own, `structure_check` finds damage in it.

`errors` has the one error. Imports nothing else of this project.
"""
