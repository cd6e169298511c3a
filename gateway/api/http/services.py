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
from gateway.settings import GatewaySettings
from gateway.steady_clock import steady_time
from gateway.store.interface import Store
from gateway.submission.known_exceptions import KnownExceptions
from gateway.submission.reading.document_reader import DocumentReader
from observability.logs import LogRateLimiter
from observability.metrics import Metrics
from waypost.turns import Turns
from waypost.workflow.run_types import DeclaredExecutors


def request_turns(places: int) -> Turns:
    """Returns the limit on requests handled at once: `places` of them, for which tenants take turns.

    While other tenants have requests too, one tenant gets 1 place in 64. With two its flood took so much of a
    small machine that another's runs took twice as long as with one; with a rest as long as each request they
    take a quarter less again.
    """
    return Turns(places, share=max(1, places // 64), rest=1.0)


def _log_reads() -> Turns:
    return Turns(CONNECTIONS[Purpose.LOGS], share=CONNECTIONS[Purpose.LOGS] // 4)


class Services(Struct, frozen=True, kw_only=True):
    """The objects that every API handler may use, such as store, policy engine and clusters; built once.

    `regions` returns the controller's newest view of each region, `cut_off` whether the gateway takes itself,
    not its regions, to be cut off (`gateway/regions/blackout_guard.py`). `clusters`, by region, serve task
    logs. Five fields limit what is done at once, and tenants take turns: `turns` requests; `large_documents`
    documents read by `reader`; `large_answers` large responses; `log_reads` logs read in each region. `rates`
    limits requests per second. `unread` limits the bytes of responses that wait to be read, `unfinished`
    those of bodies that arrive, `followers` the logs that are followed by region and tenant,
    `unknown_callers` the requests without a valid token, `rejections` the log lines about rejected tokens.
    `exceptions` are the policy exceptions that decisions consider. `clock` gives wall-clock seconds since
    1970.
    """

    settings: GatewaySettings
    authenticator: Authenticator
    policy: PolicyEngine
    rollout: BundleRollout
    store: Store
    metrics: Metrics
    executors: DeclaredExecutors
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
