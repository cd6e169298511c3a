"""The lowest floor: what gateway and clusters share, and what users import.

Imports nothing else of this project.

It holds the building blocks below any decision: the SQLite database with group commit, the HTTP server,
mutual TLS and its certificates, problem documents, trace context, JSON pointers; and in `workflow/` the
document language.
"""
