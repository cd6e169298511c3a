"""The embedded cluster over HTTP: `server.py` serves any `ClusterAdapter`, `client.py` is the gateway's.

`ndjson.py` is the response that streams events and logs, `internal.py` serves the metrics. May import
`clusters.interface`, `protocol`, `errors` and `transport`, the value `Owner` of
`clusters.embedded.scheduling`, Starlette, `observability` and `waypost`.
"""
