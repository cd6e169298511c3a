"""The API handlers for auditors: records of callers' actions and of policy decisions, and the audit trail.

It may import what `gateway/api` may import, and of `gateway/api` itself the files that define no route.
"""
