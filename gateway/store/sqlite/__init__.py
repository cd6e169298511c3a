"""The store in one SQLite file, for one gateway process: runs, policy decisions and history.

`store` implements the interface, `transactions` writes, `sql_statements` has all SQL, `row_mapping` turns
values into rows and back, and `schema_migrations` applies the numbered files in `migrations/`. Durability and
group commit are in `waypost.sqlite_group_commit`.

The room may import what `gateway/store` may, and is imported by `gateway/app.py` only.
"""
