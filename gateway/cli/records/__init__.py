"""The commands about records: the audit trail, policy decisions and automatic rollbacks.

Each talks to a gateway over its HTTP API, with what the commands share in `gateway/cli`.
"""
