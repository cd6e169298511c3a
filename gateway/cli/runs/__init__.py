"""The commands about runs: submit, list, describe, watch, explain, cancel, retry.

Each talks to a gateway over its HTTP API, with what the commands share in `gateway/cli`.
"""
