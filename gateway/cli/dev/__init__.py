"""`waypost up` and its parts: a gateway and regions on one machine, and a proxy simulating network faults.

Also used by the demo, the benchmarks and the tests. May import what `gateway/cli` may import; no other
command may import it.
"""
