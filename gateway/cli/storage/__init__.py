"""The commands for the files of a gateway's store: backup and restore. They need no gateway and no token.

The package may import what `gateway/cli` may import.
"""
