"""The API handlers for policy bundles, for the rollout of bundles, and for policy exceptions.

May import what `gateway/api` may import.
"""
