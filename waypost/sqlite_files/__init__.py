"""Handles SQLite database files: locks them, checks their structure and disk space; the error type for them.

Imports nothing else of this project.
"""
