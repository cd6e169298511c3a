"""The commands about services in an Istio mesh: render who may reach them, check for drift.

`folders` reads service files and rendered ones. What is decided is in `gateway/mesh`; no command needs a
gateway.
"""
