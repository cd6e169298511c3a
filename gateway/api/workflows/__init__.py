"""The API handlers for released workflows: apply, list, get, and each change of a release.

May import what `gateway/api` may import.
"""
