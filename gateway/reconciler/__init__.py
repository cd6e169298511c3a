"""The reconciler: places accepted shards, dispatches them to regions, and records their results.

`controller.py` makes one pass after the other. Each step of a pass is a file: `inbox.py` (with
`health_updates.py` and `attempt_events.py`) processes what the regions reported, `region_assessment.py` (with
`failover.py` and `orphans.py`) moves shards of lost regions, `store_scan.py` applies what callers and
operators committed, `placing.py` (with `reauthorize.py` and `placement_intents.py`) places waiting shards,
`commit.py` writes all changes to the store, and `dispatch.py` builds the batches that are sent. `working_set`
is the controller's memory, filled by `loading.py`; `links` does the I/O of the regions. T1 to T14 in
docstrings are the rows of the shard's state table (`gateway/core/shard_states.py`).

Imports `gateway.store`, `gateway.regions`, `gateway.policy`, `gateway.documents`, `gateway.core`, the values
of `clusters.protocol`, and `observability`. It never imports `gateway.api` or `gateway.submission`.
"""
