"""The API handlers for released workflows: apply, list, get, and each change of a release.

The package may import what `gateway/api` may import.
"""
