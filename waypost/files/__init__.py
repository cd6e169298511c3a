"""Creates files and folders that only their owner may read, whatever the umask, in `permissions`.

Imports nothing else of this project.
"""
