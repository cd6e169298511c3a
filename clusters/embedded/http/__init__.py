"""The embedded cluster's HTTP server (`server.py`), and the gateway's client for it (`client.py`).

The server serves any `ClusterAdapter`. `ndjson.py` is the response that streams events and logs,
`internal.py` serves the metrics. May import `clusters.interface`, `protocol`, `errors` and `transport`, the
value `Owner` of `clusters.embedded.scheduling`, Starlette, `observability` and `waypost`.
"""
