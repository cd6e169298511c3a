"""The gateway's HTTP API: routes, the handler of each operation, response types and the OpenAPI document.

Calls are authenticated, authorized and admitted by `gateway/submission`; handlers read and write through
`gateway/store` and see regions as the controller last saw them. A handler's docstring is its summary in
`/openapi.json`. The package may import the layers of `gateway` below it (`submission` and lower ones),
`clusters`, `observability` and `waypost`, but not the reconciler. It is, with `gateway/app.py`, the only
place in `gateway` that imports Starlette.
"""
