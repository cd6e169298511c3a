"""The outbox of a store in SQLite: notifications that are not delivered yet."""
