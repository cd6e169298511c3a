"""Locks SQLite database files, checks their structure and disk space, and defines the error type for them.

Imports nothing else of this project.
"""
