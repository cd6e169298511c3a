"""What auditors read: who had what done, and what policy decided about whom.

Imports what `gateway.api` imports, and the files beside it that are not about routes.
"""
