"""The commands of a policy bundle's rollout in a running gateway: list, upload, shadow, canary and others.

Each talks to a gateway over its HTTP API, with what the commands share in `gateway/cli`.
"""
