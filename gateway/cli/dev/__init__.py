"""`waypost up` and its parts: a gateway and regions on one machine, and a proxy simulating network faults.

It is also used by the demo, the benchmarks and the tests. It may import what `gateway/cli` may import; no
other command may import it.
"""
