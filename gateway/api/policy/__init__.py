"""The API handlers for policy bundles, for the rollout of bundles, and for policy exceptions.

The package may import what `gateway/api` may import.
"""
