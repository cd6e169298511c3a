"""Logs, metrics, dashboards, and the seals (signed digests) of the audit trail.

Nothing here knows the gateway: values come in as plain words and numbers. May import `waypost` alone.
"""
