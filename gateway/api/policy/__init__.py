"""The policy bundles of a gateway over the API: list, upload, and the steps of a rollout.

May import what `gateway/api` may import.
"""
