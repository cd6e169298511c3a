"""The commands about records: `waypost audit` and `waypost decisions`.

Each talks to a gateway over its HTTP API, with what the commands share in `gateway/cli`.
"""
