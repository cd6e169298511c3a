"""W3C trace context, which leads from a caller's request to the tasks of its run.

`context` has the value that names a span of a trace, `headers` reads it from a request and writes it into the
answer, `tracestate` reads the header of that name. `context` and `tracestate` are pure.
"""
