"""Builds parts of a gateway from its settings: policy engine, rollout, clusters, authenticator, rollbacks.

`gateway/app.py` connects them to the rest. May import everything in `gateway` below it, and `clusters`.
"""
