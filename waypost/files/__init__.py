"""Files and folders that only their owner may read, whatever the umask: `permissions` makes and narrows them.

Imports nothing else of this project.
"""
