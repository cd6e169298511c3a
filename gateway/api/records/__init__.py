"""The API handlers for auditors: records of callers' actions and of policy decisions, and the audit trail.

Imports what `gateway.api` imports, and the files beside it that are not about routes.
"""
