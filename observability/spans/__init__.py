"""OpenTelemetry spans of gateways and clusters, which are made when an operation has ended, and here alone.

`builders` makes the spans of API calls, attempts and tries, purely; `finished_span` is their type, and
`call_trace` notes what the span of an API call needs. `exporter` sends them to a receiver over OTLP/HTTP,
with the packages of the extra `waypost[otel]`. Nothing else imports `opentelemetry`. Imports `waypost` alone.
"""
