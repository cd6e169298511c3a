"""The API's handlers for auditors: the records of callers' acts, and of policy's decisions.

Imports what `gateway.api` imports, and the files beside it that are not about routes.
"""
