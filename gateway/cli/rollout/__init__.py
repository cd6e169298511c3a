"""The commands that roll a policy bundle out in a running gateway: list, upload, shadow, canary and others.

Each talks to a gateway over its HTTP API, with what the commands share in `gateway/cli`.
"""
