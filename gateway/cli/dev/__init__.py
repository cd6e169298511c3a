"""`waypost up` and its parts: a stack on one machine, and a proxy that simulates network faults.

Also used by the demo, the benchmarks and the tests. May import what `gateway/cli` may import; no other
command may import it.
"""
