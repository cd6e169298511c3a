"""The API handlers for the routing: apply a revision, list the revisions, roll one back.

May import what `gateway/api` may import.
"""
