"""`waypost up` and what only it needs: a stack on one machine, and a proxy that makes a network bad.

Also used by the demo, the benchmarks and the tests. May import what `gateway/cli` may import; no other
command may import it.
"""
