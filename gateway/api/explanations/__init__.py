"""The API handlers that explain a run: its history and decisions, and what its shards and tasks wait for now.

May import what `gateway/api` may import, and of `gateway/api` itself the files that list and show runs.
"""
