"""Logs, metrics, dashboards and the audit trail's seals, for people and for Prometheus.

Knows nothing of the gateway: values come in as plain words and numbers. May import `waypost` alone.
"""
