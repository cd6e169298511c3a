"""Declares all metrics of a gateway: name, meaning, when to look at it, labels.

`metrics.py` creates them, and docs/metrics.md is generated from here. Those that a cluster has too are in
`process_metrics.py`, those of a cluster alone in `cluster_metrics.py`.
"""

from typing import Final

from observability.metric_declaration import (
    ACTION,
    ALERT_OUTCOME,
    ANSWER,
    BUNDLE_OUTCOME,
    CALL,
    CAUSE,
    CONDITION,
    DECIDING,
    ENGINE,
    EXECUTOR,
    FLIP,
    ISSUER,
    LEASE_OUTCOME,
    OUTCOME,
    PHASE,
    POOL,
    RECOVERY,
    REGION,
    RELEASE,
    RELEASE_OUTCOME,
    REQUEST,
    REVISION,
    ROLLBACK_PHASE,
    ROUTING,
    RULE,
    SIZES,
    STEP,
    TASK,
    TASK_OUTCOME,
    counter,
    gauge,
    histogram,
)
from observability.notification_metrics import NOTIFICATIONS as NOTIFICATIONS
from observability.notification_metrics import NOTIFICATIONS_LATE as NOTIFICATIONS_LATE
from observability.notification_metrics import NOTIFICATIONS_WAITING as NOTIFICATIONS_WAITING
from observability.retention_metrics import RETENTION_BYTES as RETENTION_BYTES
from observability.retention_metrics import RETENTION_ENTRIES as RETENTION_ENTRIES
from observability.retention_metrics import RETENTION_FAILURES as RETENTION_FAILURES
from observability.retention_metrics import RETENTION_OLDEST as RETENTION_OLDEST
from observability.retention_metrics import RETENTION_OVERDUE as RETENTION_OVERDUE
from observability.retention_metrics import RETENTION_ROWS as RETENTION_ROWS
from observability.retention_metrics import RETENTION_RUNS as RETENTION_RUNS

# Gateway: calls

REQUESTS: Final = counter(
    "waypost_requests_total",
    "Calls answered, by outcome.",
    "callers complain. `Unavailable` and `Internal` are errors of ours, every other reason is an answer",
    CALL,
    OUTCOME,
)
REQUEST_SECONDS: Final = histogram(
    "waypost_request_seconds",
    "What a call took until its answer was ready; of a stream until its beginning.",
    "callers find it slow. Slow calls have an exemplar with their trace",
    CALL,
    buckets=REQUEST,
)
STEP_SECONDS: Final = histogram(
    "waypost_step_seconds",
    "What each step of a call took.",
    "acceptance is slow: authenticate (key sets), read (large documents, turns), authorize (policy), admit"
    " (the disk)",
    STEP,
)
CONNECTIONS: Final = gauge(
    "waypost_connections",
    "Open connections: of callers to this gateway, or of this gateway to a region.",
    "new callers do not get through, or a region is slow",
    POOL,
)
CONNECTIONS_MAXIMUM: Final = gauge(
    "waypost_connections_maximum", "The most connections of a pool.", "the pool is nearly full", POOL
)

# Gateway: policy and identity

DECISION_SECONDS: Final = histogram(
    "waypost_decision_seconds", "What policy took to answer.", "acceptance or placing is slow"
)
DECISIONS: Final = counter(
    "waypost_decisions_total",
    "Decisions of policy, by engine and action: permitted, refused, or unanswered.",
    '`outcome="unanswered"`: policy does not answer, callers get 503',
    ENGINE,
    ACTION,
    ANSWER,
)
SUBMISSION_DECISIONS: Final = counter(
    "waypost_submission_decisions_total",
    "Submissions that policy decided, by the revision of the rules: permitted, refused, or unanswered.",
    "a new bundle refuses more than the one before: rollbacks are decided by it",
    DECIDING,
    ANSWER,
)
UNRECORDED_DECISIONS: Final = counter(
    "waypost_unrecorded_decisions_total",
    "Refusals of which no record was kept, since there were too many or the store took none.",
    "a flood of refusals, or a store that takes no writes",
)
SHADOW_FLIPS: Final = counter(
    "waypost_policy_shadow_flips_total",
    "Decisions that the bundle in shadow would have made otherwise, by kind and rule.",
    "before a bundle is activated: `allowed` is what it would newly allow",
    FLIP,
    RULE,
)
SHADOW_SKIPPED: Final = counter(
    "waypost_policy_shadow_skipped_total",
    "Decisions that the bundle in shadow was not asked about, since too many came at once.",
    "the counts of flips are of a sample then",
)
POLICY_IN_FORCE: Final = gauge(
    "waypost_policy_in_force_timestamp_seconds",
    "When the rules that decide came into force, in seconds since 1970.",
    "with policy.bundle_maximum_age_seconds: submissions end when they are older",
)
POLICY_BUNDLES: Final = counter(
    "waypost_policy_bundles_total",
    "Bundles that were put into the place policy.bundle: Activated or Refused; and refused uploads.",
    "Refused: a bundle that is not good, or not newer; the last good one stays",
    BUNDLE_OUTCOME,
)
POLICY_REVISION: Final = gauge(
    "waypost_policy_revision_info",
    "1, with the engine and the revision of the rules that decide now.",
    "which rules decided then?",
    ENGINE,
    REVISION,
)
POLICY_STALE: Final = gauge(
    "waypost_policy_stale",
    "1 while the engine holds another revision than the newest good bundle.",
    "OPA does not take the bundle that this gateway serves",
)
KEY_SET_EXPIRY: Final = gauge(
    "waypost_key_set_expiry_timestamp_seconds",
    "When an issuer's keys stop to count unless they are read again, in seconds since 1970.",
    "the issuer does not answer: after this moment its tokens are refused",
    ISSUER,
)
ALERTS: Final = counter(
    "waypost_alerts_total",
    "Alerts that were sent to this gateway, by whether they were known; LeftOut: missing in a notification.",
    "nothing is rolled back: do alerts arrive?",
    ALERT_OUTCOME,
)
ROLLBACKS: Final = counter(
    "waypost_rollbacks_total",
    "Steps of rollbacks that the gateway does by itself, by the phase that was come to.",
    "`Done`: a release was taken back. Frozen, Wanted, Failed, Unhelpful, Unverified: a person is wanted",
    ROLLBACK_PHASE,
)
AUDIT_ALARMS: Final = counter(
    "waypost_audit_alarms_total",
    "The audit trail was found changed from outside: it is no longer sealed.",
    "at once: somebody wrote to the store",
)

# Gateway: regions

REGION_CONDITION: Final = gauge(
    "waypost_region_condition",
    "1 for the condition a region is in.",
    "which region is lost, slow or ejected",
    REGION,
    CONDITION,
)
REGION_CORDONED: Final = gauge(
    "waypost_region_cordoned",
    "1 while an operator or the routing keeps new work from a region.",
    "a cordon was forgotten",
    REGION,
)
REGION_SCORE: Final = gauge(
    "waypost_region_score",
    "What placement compares, lower is better: expected seconds until served.",
    "work goes elsewhere than you expect",
    REGION,
)
REGION_LATENCY: Final = gauge(
    "waypost_region_peak_ewma_seconds",
    "Peak EWMA of a region's round trips.",
    "a region is Degraded, or its network path is slow",
    REGION,
)
CUT_OFF: Final = gauge(
    "waypost_cut_off",
    "1 while the gateway takes itself, not its regions, to be cut off: it moves nothing that may run.",
    "most regions are Unreachable at once: look at the gateway's own network",
)
FAILOVER_FROZEN: Final = gauge(
    "waypost_failover_frozen",
    "1 while Suspect shards do not move: fewer than half of the regions answer, or the gateway is cut off.",
    "Suspect shards stay: look at the regions, forget the one that is lost for good",
)
DISPATCH_SECONDS: Final = histogram(
    "waypost_dispatch_seconds",
    "From the decision to place an attempt until its region confirmed it.",
    "work is placed and does not start",
    REGION,
    buckets=REQUEST,
)
DISPATCH_BATCH: Final = histogram(
    "waypost_dispatch_batch_size",
    "Attempts handed over in one call.",
    "batches are small while much waits: the gateway itself is slow",
    buckets=SIZES,
)
EVENT_LAG: Final = gauge(
    "waypost_event_lag",
    "Events that a region has journalled and this gateway has not committed.",
    "results come late: it grows where the gateway or its disk does not keep up",
    REGION,
)
LEASE_RENEWALS: Final = counter(
    "waypost_lease_renewals_total",
    "Run-leases of exclusive attempts that were asked for.",
    "Refused: an attempt that was written off still runs and ends within its lease",
    REGION,
    LEASE_OUTCOME,
)

# Gateway: work

STORE_WRITABLE: Final = gauge(
    "waypost_store_writable",
    "1 while the store takes the controller's writes, else 0.",
    "0: nothing is accepted or placed. The disk is full, or fails",
)
SHARDS: Final = gauge(
    "waypost_shards",
    "Shards under way, by phase.",
    "Pending grows: nothing fits. Suspect: a region is lost",
    PHASE,
)
QUEUE_AGE: Final = gauge(
    "waypost_queue_age_seconds",
    "How long ago the oldest run with a Pending shard was accepted; 0: nothing waits.",
    "work waits: regions are full, cordoned, or none is permitted",
)
SHARDS_ENDED: Final = counter(
    "waypost_shards_ended_total",
    "Shards that ended, by phase, and by the routing revision that placed them.",
    "how much fails, and whether more under a new routing revision: rollbacks are decided by it",
    ROUTING,
    PHASE,
)
RELEASE_SHARD_SECONDS: Final = histogram(
    "waypost_release_shard_seconds",
    "From a run's acceptance to the end of each shard, by released version. Cancelled ones are left out.",
    "a new version is slower, or fails more, than the one before: rollbacks are decided by it",
    RELEASE,
    RELEASE_OUTCOME,
    buckets=TASK,
)
TASKS_ENDED: Final = counter(
    "waypost_tasks_ended_total",
    "Tasks whose end is committed, by task type; Retrying: a try failed and another follows.",
    "tasks of one type fail",
    EXECUTOR,
    TASK_OUTCOME,
)
FAILOVERS: Final = counter(
    "waypost_failovers_total",
    "Shards that left a region because of the region, by the event that took them from it.",
    "how often work is moved, and why: Abandoned (the region was lost), Lost (it restarted or was silent),"
    " Refused, Unconfirmed (no answer), Exhausted (the last one: the shard is Quarantined)",
    REGION,
    CAUSE,
)
RECOVERY_SECONDS: Final = histogram(
    "waypost_recovery_seconds",
    "From the loss of a shard's region until it runs again.",
    "how long failovers take",
    buckets=RECOVERY,
)
STALE_REPORTS: Final = counter(
    "waypost_stale_reports_total",
    "Reports of superseded attempts, refused.",
    "a written-off region went on working",
    REGION,
)
TOMBSTONES: Final = counter(
    "waypost_tombstones_total",
    "Orphaned attempts confirmed as gone.",
    "a region that came back ends what was given up there",
    REGION,
)
