"""`Services`: the objects that API handlers share, such as settings, store, policy engine and clusters."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Struct

from clusters.interface import ClusterAdapter
from clusters.transport import CONNECTIONS, Purpose
from gateway.api.http.event_feed import EventFeeds
from gateway.api.http.rate_limits import RateLimiter
from gateway.api.http.stream_limits import StreamLimiter
from gateway.api.http.unfinished_bodies import UnfinishedBodies
from gateway.api.http.unread_answers import UnreadAnswers
from gateway.identity.interface import Authenticator
from gateway.identity.unknown_callers import UnknownCallers
from gateway.policy.interface import PolicyEngine
from gateway.policy.rollout.rollout import BundleRollout
from gateway.regions.region_view import RegionView
from gateway.retention.retention import Retention
from gateway.settings import GatewaySettings
from gateway.steady_clock import steady_time
from gateway.store.interface import Store
from gateway.submission.known_exceptions import KnownExceptions
from gateway.submission.reading.document_reader import DocumentReader
from observability.logs import LogRateLimiter
from observability.metrics import Metrics
from observability.spans.exporter import SpanExporter
from waypost.turns import Turns
from waypost.workflow.run_types import DeclaredExecutors


def request_turns(places: int) -> Turns:
    """Builds the limit on requests handled at once: `places` of them, for which tenants take turns.

    While several tenants have requests, each gets at most 1 place in 64, and a place rests after a request
    for twice as long as that took. Measured on a small machine where one tenant floods the gateway: with
    twice the share the runs of another tenant took twice as long, and a rest as long as the request made
    them a quarter shorter. A quarter of the places is free however long one tenant has been alone: a tenant
    whose requests are seconds apart would wait for one of all these requests to end, and got a 503 for nine
    of ten.
    """
    return Turns(places, share=max(1, places // 64), alone=places - places // 4, rest=2.0)


def _log_reads() -> Turns:
    return Turns(CONNECTIONS[Purpose.LOGS], share=CONNECTIONS[Purpose.LOGS] // 4)


class Services(Struct, frozen=True, kw_only=True):
    """The objects that every API handler may use, such as store, policy engine and clusters; built once.

    `regions` returns the controller's newest view of each region. `cut_off` returns whether the gateway
    believes that it is cut off from its regions (`gateway/regions/blackout_guard.py`). `clusters` has, by
    region, the cluster from which task logs are read. `exceptions` are the policy exceptions that decisions
    consider. `clock` gives seconds since 1970 that no change of the wall clock moves.

    Limits on what is done at once, in which tenants take turns: `turns` (requests), `large_documents`
    (documents that `reader` reads), `large_answers` (large responses), `log_reads` (reads of logs, per
    region). Other limits: `rates` (requests per second), `unread` (bytes of responses that clients have not
    read), `unfinished` (bytes of request bodies being received), `streams` (open event and log streams),
    `followers` (logs followed in one region), `unknown_callers` (requests without a valid token),
    `rejections` (log lines about rejected tokens).
    """

    settings: GatewaySettings
    authenticator: Authenticator
    policy: PolicyEngine
    rollout: BundleRollout
    store: Store
    metrics: Metrics
    spans: SpanExporter | None = None
    """Takes the spans of API calls; None where none are exported."""
    executors: DeclaredExecutors
    engines: Mapping[str, str]
    """The engine of each region's cluster, by the region's name."""
    retention: Retention | None = None
    """Archives and deletes ended runs; None where no setting asks for it."""
    reader: DocumentReader
    regions: Callable[[], Sequence[RegionView]]
    clusters: Mapping[str, ClusterAdapter]
    cut_off: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = steady_time
    wall_clock: Callable[[], float] = time.time
    """The machine's wall clock as set now, to compare times in tokens and ends of policy exceptions with."""
    exceptions: KnownExceptions = msgspec.field(default_factory=KnownExceptions)
    feeds: EventFeeds = msgspec.field(default_factory=EventFeeds)
    streams: StreamLimiter = msgspec.field(default_factory=StreamLimiter)
    rejections: LogRateLimiter = msgspec.field(default_factory=LogRateLimiter)
    unread: UnreadAnswers = msgspec.field(default_factory=UnreadAnswers)
    unfinished: UnfinishedBodies = msgspec.field(default_factory=UnfinishedBodies)
    large_answers: Turns = msgspec.field(default_factory=lambda: Turns(2, share=1))
    log_reads: defaultdict[str, Turns] = msgspec.field(default_factory=lambda: defaultdict(_log_reads))
    followers: StreamLimiter = msgspec.field(default_factory=StreamLimiter)
    turns: Turns = msgspec.field(default_factory=lambda: request_turns(16))
    large_documents: Turns = msgspec.field(default_factory=lambda: Turns.leaving_one(2))
    rates: RateLimiter = msgspec.field(default_factory=lambda: RateLimiter(None, time.monotonic))
    unknown_callers: UnknownCallers = msgspec.field(default_factory=UnknownCallers)
