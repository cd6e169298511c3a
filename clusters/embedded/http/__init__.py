"""Serves the embedded cluster over HTTP (`server.py`, for any `ClusterAdapter`), and calls it (`client.py`).

`ndjson.py` is the response that streams events and logs, `internal.py` serves the metrics. May import
`clusters.interface`, `protocol`, `errors` and `transport`, the value `Owner` of
`clusters.embedded.scheduling`, Starlette, `observability` and `waypost`.
"""
