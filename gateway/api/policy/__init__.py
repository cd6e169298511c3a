"""Policy over the API: its bundles and the steps of their rollout, and exceptions from its rules.

May import what `gateway/api` may import.
"""
