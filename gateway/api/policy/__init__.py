"""The API's handlers for policy bundles, for their rollout, and for policy exceptions.

May import what `gateway/api` may import.
"""
