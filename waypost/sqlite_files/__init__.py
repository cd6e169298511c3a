"""Opens and locks SQLite database files, and checks their structure, log and disk space.

Imports nothing else of this project.
"""
