"""The types by which metrics, their labels and their buckets are declared, and a registry made of them.

A label takes the words of a closed list, or the names that operators have configured: never a run or anything
else that any caller chooses. Each label says how many values it has at most; tests hold it to that.
"""

from typing import Final, Literal

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder

disable_created_metrics()  # type: ignore[no-untyped-call]
# Else every counter and histogram has a second series with the moment of its making.

QUICK: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""The bounds of histogram buckets, in seconds, for the waits within a request."""
REQUEST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.8, 1.0, 2.5, 5.0, 10.0)
"""The bounds of histogram buckets, in seconds, for whole requests.

Among them is 0.8 s, beyond which a request counts as slow.
"""
RECOVERY: Final = (0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0)
"""The bounds of histogram buckets, in seconds, for recovery, with the promised times among them."""
TASK: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0)
"""The bounds of histogram buckets, in seconds, for tasks, which take milliseconds or hours."""
SIZES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)


class Label(Struct, frozen=True):
    """A label of metrics: its name, a description, and the most values that it may have."""

    name: str
    most: int
    values: str


class Declaration(Struct, frozen=True, kw_only=True):
    """The declaration of one metric: name, kind, help text, labels and buckets."""

    name: str
    """The name of the metric as Prometheus shows it; that of a counter ends in `_total`."""
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    """The meaning of the metric, as a sentence; Prometheus shows it."""
    look: str
    """The situation in which an operator looks at the metric, and what it then says."""
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def most_series(self) -> int:
        """Returns the most time series that one process can have of the metric, by its labels."""
        series = 1
        for label in self.labels:
            series *= label.most
        return series * (len(self.buckets) + 3 if self.kind == "histogram" else 1)


CALL: Final = Label("call", 60, "an operation of the API, or `none`")
OUTCOME: Final = Label("outcome", 20, "Ok, Accepted, Replayed, DryRun, or the reason of a problem")
STEP: Final = Label("step", 4, "authenticate (of every call), read, authorize, admit (of submissions)")
ACTION: Final = Label("action", 20, "an action of policy, such as `runs:submit`")
ANSWER: Final = Label("outcome", 3, "permitted, refused, unanswered")
ENGINE: Final = Label("engine", 10, "the kind of engine; gateway: none was asked, as rules are too old")
ALERT_OUTCOME: Final = Label("outcome", 3, "New, Repeated, LeftOut (by the sender)")
ROLLBACK_PHASES: Final = (
    "Intended",
    "Done",
    "Helped",
    "Unhelpful",
    "Unverified",
    "Failed",
    "Frozen",
    "Wanted",
    "DryRun",
)
ROLLBACK_PHASE: Final = Label("phase", 9, ", ".join(ROLLBACK_PHASES))
BUNDLE_OUTCOME: Final = Label("outcome", 2, "Activated, Refused")
REVISION: Final = Label("revision", 1, "the revision in force; the one before is dropped")
DECIDING: Final = Label("revision", 20, "the revisions that decided first lately; the oldest are dropped")
FLIP: Final = Label("kind", 4, "allowed, unanswered, refused, changed")
RELEASE: Final = Label(
    "release", 51, "a released version, as `demo/nightly@3`; versions beyond 50 are `other`"
)
RELEASE_OUTCOMES: Final = ("succeeded", "failed")
RELEASE_OUTCOME: Final = Label("outcome", 2, ", ".join(RELEASE_OUTCOMES))
RULE: Final = Label("rule", 52, "the rules that were seen first; the others are `other`")
RECEIVER: Final = Label("receiver", 100, "an entry of `notifications.egress`; `none`: no longer listed")
NOTIFICATION_OUTCOMES: Final = ("Delivered", "Retrying", "GivenUp")
NOTIFICATION_OUTCOME: Final = Label("outcome", 3, ", ".join(NOTIFICATION_OUTCOMES))
ROWS: Final = Label("kind", 8, "shards, tasks, history, decisions, trail, seals, archived, exceptions")
REGION: Final = Label("region", 100, "a region of the settings")
CONDITION: Final = Label("condition", 8, "a condition of a region")
PHASE: Final = Label("phase", 10, "a phase of a shard")
ROUTING: Final = Label(
    "routing", 20, "a routing revision, or `settings` without one; those longest unused are dropped"
)
CAUSES: Final = ("Abandoned", "Lost", "Refused", "Unconfirmed", "Exhausted")
CAUSE: Final = Label("cause", 5, f"{', '.join(CAUSES)}: the event in the history")
LEASE_OUTCOME: Final = Label("outcome", 2, "Renewed, Refused")
EXECUTOR: Final = Label("executor", 20, "a task type")
TASK_OUTCOME: Final = Label("outcome", 4, "Succeeded, Skipped, Retrying, Failed")
SPAN_OUTCOME: Final = Label(
    "outcome", 3, "sent, failed (the receiver took it not), dropped (too many waited)"
)
TRY_OUTCOME: Final = Label("outcome", 4, "Succeeded, Failed, Killed, Lost")
DIRECTION: Final = Label("direction", 2, "fetch (a source), store (a target)")
CERTIFICATE: Final = Label("certificate", 4, "ca, gateway, cluster, api")
ISSUER: Final = Label("issuer", 20, "an issuer of the settings")
POOL: Final = Label("pool", 102, "api, internal, or a region of the settings")
VERSION: Final = Label("version", 1, "the version of Waypost")


def counter(name: str, text: str, look: str, *labels: Label) -> Declaration:
    return Declaration(name=name, kind="counter", help=text, look=look, labels=labels)


def gauge(name: str, text: str, look: str, *labels: Label) -> Declaration:
    return Declaration(name=name, kind="gauge", help=text, look=look, labels=labels)


def histogram(
    name: str, text: str, look: str, *labels: Label, buckets: tuple[float, ...] = QUICK
) -> Declaration:
    return Declaration(name=name, kind="histogram", help=text, look=look, labels=labels, buckets=buckets)


class MetricRegistry(CollectorRegistry):
    """A registry of the Prometheus client library that creates metrics from their declarations."""

    def __init__(self) -> None:
        super().__init__()
        self.declared: dict[str, Declaration] = {}
        """The declarations of the metrics that were created, by name."""

    def counter(self, declared: Declaration) -> Counter:
        return Counter(declared.name, declared.help, self._label_names(declared), registry=self)

    def gauge(self, declared: Declaration) -> Gauge:
        return Gauge(declared.name, declared.help, self._label_names(declared), registry=self)

    def histogram(self, declared: Declaration) -> Histogram:
        names = self._label_names(declared)
        return Histogram(declared.name, declared.help, names, buckets=declared.buckets, registry=self)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Renders all metrics in the format that the scraper accepts; returns the text and its media type."""
        encode, media_type = choose_encoder(accept)
        return encode(self), media_type

    def _label_names(self, declared: Declaration) -> list[str]:
        self.declared[declared.name] = declared
        return [label.name for label in declared.labels]
