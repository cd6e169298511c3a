"""The internal port: health, metrics and the bundle for OPA, without tokens; not to be exposed to callers.

May import what `gateway/api` may import.
"""
