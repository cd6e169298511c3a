"""The HTTP routes of the gateway's internal port, without tokens: health, metrics, and OPA's bundle.

The port must not be exposed to callers.

The package may import what `gateway/api` may import.
"""
