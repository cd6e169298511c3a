"""The commands about records: audit trail, policy decisions, automatic rollbacks.

Each talks to a gateway over its HTTP API, with what the commands share in `gateway/cli`.
"""
