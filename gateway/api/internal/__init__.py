"""The routes of the internal port: health, metrics and OPA's policy bundle, without tokens.

The port must not be exposed to callers.

May import what `gateway/api` may import.
"""
