"""The stages of a run in the store: when each begins, and its inputs from the shards before it.

`rules` has the decisions, which all stores make alike, and is pure; `interface` is how a store reads the
inputs. May import what `gateway/store` may.
"""
