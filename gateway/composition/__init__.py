"""Builds parts of a gateway from its settings: policy engine and bundle rollout, clusters, authenticator.

`gateway/app.py` connects them to the rest. May import everything in `gateway` below it, and `clusters`.
"""
