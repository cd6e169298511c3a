"""Declares the metrics of retention, which are among those of a gateway (`gateway_metrics.py`)."""

from typing import Final

from observability.metric_declaration import ROWS, counter, gauge

RETENTION_RUNS: Final = counter(
    "waypost_retention_archived_runs_total",
    "Ended runs that were archived and taken out of the store.",
    "how fast retention goes. 0 for days with a setting under [retention]: nothing is due, or it fails",
)
RETENTION_ENTRIES: Final = counter(
    "waypost_retention_archived_entries_total",
    "Sealed entries of the audit trail that were archived.",
    "how fast the trail goes. 0 for days with audit_days or audit_maximum under [retention]: nothing is due,"
    " sealing has stopped, or it fails",
)
RETENTION_ROWS: Final = counter(
    "waypost_retention_deleted_rows_total",
    "Rows of archived runs and of the archived audit trail that were deleted, by kind.",
    "how much of the store becomes free for new rows",
    ROWS,
)
RETENTION_BYTES: Final = counter(
    "waypost_retention_archive_bytes_total",
    "Compressed bytes that were written to the archive.",
    "how large a disk the archive needs",
)
RETENTION_FAILURES: Final = counter(
    "waypost_retention_failures_total",
    "Passes that ended early, and, in each pass, runs that stay as a row of theirs is damaged.",
    "above 0: its disk is full, its folder may not be written, the store does not answer or has a damaged"
    " row; the log has the reason",
)
RETENTION_OLDEST: Final = gauge(
    "waypost_retention_oldest_run_age_seconds",
    "How long ago the run ended that ended first of those in the store; 0 if there is none.",
    "above `retention.runs_days`: retention lags, or something of that run may still run somewhere",
)
RETENTION_OVERDUE: Final = gauge(
    "waypost_retention_overdue_seconds",
    "How much longer than the settings say the ended run is in the store that ended first; 0: none is due.",
    "retention lags behind the runs that end, or something of that run may still run somewhere",
)
