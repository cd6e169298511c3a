"""Notifications in a store until they are delivered: `outbox` has the interface, and who gets one."""
