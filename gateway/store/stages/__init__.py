"""The stages of a run in the store: when each begins, and what it is told of the shards before it.

`rules` decides alike for all stores, and is pure; `interface` is what a store must tell. May import what
`gateway/store` may.
"""
