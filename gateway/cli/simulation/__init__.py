"""`waypost simulate`: runs the real scheduler of a cluster under a virtual clock, and compares with theory.

The package may import what `gateway/cli` may import, and talks to no gateway.
"""
