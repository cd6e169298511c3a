"""Notifications in a store until they are delivered.

`outbox` has the interface, and who gets one; `fair_claim` chooses which come next. Both are pure.
"""
