"""The HTTP API of a gateway: routes, one handler for each operation, shapes of answers, OpenAPI document.

Handlers authenticate, authorize and admit with `gateway/submission`, read and write through `gateway/store`,
and see regions as the controller last saw them. The room may import everything below it in `gateway`
(`submission` and the floors under it), `clusters`, `observability` and `waypost`, and never `gateway/cli` or
`gateway/app`. It is, with `gateway/app.py`, the only place in `gateway` that imports Starlette.
"""
