"""The commands about regions: list, cordon, uncordon, drain, forget or replace one, change the routing.

Each talks to a gateway over its HTTP API, with what the commands share in `gateway/cli`.
"""
