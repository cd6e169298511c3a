"""Creates files and folders that only their owner may access, whatever the umask (`permissions`).

Imports nothing else of this project.
"""
