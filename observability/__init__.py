"""Logs and metrics of a process: what it writes for people and what Prometheus scrapes.

Knows nothing of the gateway: values come in as plain words and numbers. May import `waypost` alone.
"""
