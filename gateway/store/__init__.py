"""The store of runs, shards, task results, policy decisions and history.

`interface` is the protocol that every store implements, `rules` are the decisions that all stores make alike,
`subscriptions` wakes callers of this process when a run changes. Each database has a room (package) of its
own: `sqlite`. The conformance suite is `tests/conformance/store.py`.

The room may import `gateway/regions` (taints), `core`, `clusters.protocol` and `waypost`. Outside of it only
`gateway/app.py` knows a database.
"""
