"""The controller's working memory: the shards that need watching, and the state of each region.

It is a copy of the store, never the truth. It is loaded again at every start; a shard changes here first and
counts only once `commit.py` has written it; only what is committed is sent to a region. One coroutine
owns the memory, so nothing in it is locked. Imports `links`, `gateway.store`, `gateway.regions`,
`gateway.documents` and `gateway.core`; none of the reconciler's steps.
"""
