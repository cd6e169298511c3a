"""The commands about released workflows: apply and list versions, canary, promote, abort, rollback.

Each talks to a gateway over its HTTP API, with what the commands share in `gateway/cli`.
"""
