"""The commands about released workflows: apply a version, list and describe them, canary, promote, rollback.

Each talks to a gateway over its HTTP API, with what the commands share in `gateway/cli`.
"""
