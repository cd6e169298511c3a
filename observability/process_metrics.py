"""Declares the metrics that a gateway and a cluster both have, each in its own registry."""

from typing import Final

from observability.metric_declaration import (
    CERTIFICATE,
    SPAN_OUTCOME,
    VERSION,
    counter,
    gauge,
    histogram,
)

BUILD: Final = gauge(
    "waypost_build_info", "1, with the version of this process.", "did the rollout arrive?", VERSION
)
CERTIFICATE_EXPIRY: Final = gauge(
    "waypost_certificate_expiry_timestamp_seconds",
    "When a certificate that this process has loaded expires, in seconds since 1970.",
    "before it does: nothing connects any more then",
    CERTIFICATE,
)
LOOP_LAG: Final = histogram(
    "waypost_loop_lag_seconds", "How late the event loop was.", "the process itself is slow"
)
SPANS: Final = counter(
    "waypost_spans_total",
    "Spans of sampled traces, by what became of them; none where `tracing.endpoint` is not set.",
    "traces have holes: the receiver is down or slow",
    SPAN_OUTCOME,
)
DISK_FREE: Final = gauge(
    "waypost_disk_free_ratio",
    "The free share of the disk that has this process's state, of its bytes or files; NaN: not known.",
    "before it is full: a gateway accepts nothing then, and a cluster removes the files of runs",
)
