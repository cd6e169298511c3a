"""The API's handlers for policy: policy bundles and the steps of their rollout, and policy exceptions.

May import what `gateway/api` may import.
"""
