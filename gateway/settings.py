"""Every setting: frozen, typed, read once, documented under the field. Durations are in seconds."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class HealthSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a region counts as lost, slow or failing, and how it comes back. The numbers are the contract's."""

    probe_interval_seconds: float = 2.0
    """Between two probes of one region, +-20 % so that gateways do not march in step."""

    jitter: float = 0.2
    """How far chance moves a probe, either way, and how much of an ejection it may remit."""

    probe_retry_seconds: float = 0.5
    """The interval after a failed probe."""

    probe_timeout_seconds: float = 1.0

    failures_down: int = 3
    """Probes in a row that must fail before a region is Unreachable: a silent one is after 7.5 s at worst, a dead one after 2 s."""

    successes_up: int = 5
    """Probes in a row that must succeed before an Unreachable region takes work again. At the very first start one is enough."""

    silence_seconds: float = 3.0
    """An event stream without a beat for so long asks for a probe at once."""

    ewma_tau_seconds: float = 10.0
    failure_counts_seconds: float = 5.0
    """What a failed call adds to the peak EWMA, as if it had taken so long."""

    consecutive_errors: int = 5
    """Connect errors or 502/503/504 in a row that eject a region."""

    success_ratio: float = 0.8
    success_window_seconds: float = 10.0
    success_minimum_calls: int = 20
    """Below this ratio of successes in the window, with at least so many calls in it, a region is ejected."""

    ejection_seconds: float = 30.0
    ejection_maximum_seconds: float = 300.0
    """The n-th ejection lasts n times the first figure, at most the second, jittered."""

    ejection_forgotten_seconds: float = 600.0
    """After so long without trouble, the count of ejections starts again."""

    degraded_seconds: float = 0.3
    """Degraded when the 10 s p90 of round trips passes this in `degraded_evaluations` evaluations in a row, one a second."""

    degraded_window_seconds: float = 10.0
    degraded_evaluations: int = 3
    recovered_ratio: float = 0.7
    recovered_seconds: float = 60.0
    """Out of Degraded when the p90 stays under `recovered_ratio` of the threshold for so long."""

    slow_start_seconds: float = 60.0
    slow_start_floor: float = 0.1
    """A region that comes back takes a tenth of its share at first and all of it after `slow_start_seconds`."""

    blackout_seconds: float = 10.0
    blackout_ratio: float = 0.5
    """More than this part of the regions lost within `blackout_seconds`: the gateway takes itself to be cut off."""


class Failover(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a shard waits before it moves, and how often it may."""

    fence_seconds: float = 5.0
    """A create may be taken for so long after its intent, counted in the cluster's own uptime."""

    wait_minimum_seconds: float = 2.0
    wait_maximum_seconds: float = 10.0
    """An idempotent shard stays Suspect as long as its running tasks have run, within these bounds (ski rental with a cap)."""

    exclusive_wait_seconds: float = 17.0
    """An exclusive shard waits so long after suspicion AND after its fence: the lease's 15 s and 2 s of drift."""

    attempts_maximum: int = 5
    failovers_maximum: int = 20
    backoff_seconds: float = 1.0
    backoff_maximum_seconds: float = 30.0
    """Before a lost attempt is tried again: doubled each time."""

    resend_seconds: float = 1.0
    """A create or tombstone without an answer is sent again after so long."""

    compare_seconds: float = 30.0
    """Between two comparisons of what the cluster holds with what the store says."""

    decision_fresh_seconds: float = 300.0
    """A placement decision older than this is asked of policy again before a shard is placed."""


class Placing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Choosing among regions that fit."""

    near: float = 1.10
    """Scores within 10 % count as equal: the same winner every time would make a herd."""

    latency_floor_seconds: float = 0.01
    """Round trips below this count as equal: between neighbours the load decides, not noise. A shard runs for much longer."""

    batch: int = 500
    """Waiting shards placed in one pass."""

    look_seconds: float = 0.5
    """Between two looks for waiting shards when nothing is known to have changed."""

    defer_seconds: float = 5.0
    """A run that fits nowhere lets others pass for so long, +-20 %, or until there is a free slot where it waits for one."""


class Documents(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large a submitted document may be."""

    maximum_bytes: int = 1_048_576
    maximum_tasks: int = 10_000
    maximum_edges: int = 100_000
    maximum_shards: int = 1_000
    maximum_nesting: int = 64
    maximum_condition_characters: int = 65_536
    """Of all `when` together: each is compiled at submission, and again wherever the run goes."""


class Secret(str):
    """A setting that is not shown: it prints `***`. `reveal()` is for whoever needs the value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, _: str) -> str:
        return "***"

    def reveal(self) -> str:
        return "".join(self)


class Listen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address to listen on."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    """0: any free one; the ready line tells which."""


class MetricsListen(Listen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where health and metrics are."""

    port: Annotated[int, Meta(ge=0, le=65_535)] = 9090


class Tls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the API proves itself with: PEM files."""

    certificate: str
    key: str


class RegionTarget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One region and the cluster that works for it."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    url: str
    """The scheme picks the kind of cluster: `embedded+https://10.1.0.5:7101`."""
    weight: Annotated[float, Meta(gt=0)] = 1.0
    """Its share of the work beside the others."""


class Policies(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules in force."""

    folder: str | None = None
    """Rego files, `_test.rego` left out. None: those that ship with the gateway."""
    data: str | None = None
    """A JSON file that the rules read as `data`. None: the one that ships."""


class Requests(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one HTTP request may ask for."""

    page_maximum: Annotated[int, Meta(ge=1)] = 200
    """Runs on one page of a list."""
    heartbeat_seconds: Annotated[float, Meta(gt=0)] = 15.0
    """A comment goes over an event stream on which nothing happened for so long."""
    follow_pause_seconds: Annotated[float, Meta(ge=0)] = 0.1
    """Followers of a run hear of its changes at most this often; each change costs one read, however many follow."""
    streams_per_tenant: Annotated[int, Meta(ge=1)] = 100
    """Event streams and followed logs that one tenant may have open; more is a 429."""
    streams_maximum: Annotated[int, Meta(ge=1)] = 1_000
    """Those of all tenants together; more is a 503."""
    retry_after_seconds: float = 1.0
    """After a 503, jittered by half of it either way."""
    drain_seconds: float = 5.0
    """What is under way when the gateway is told to stop may take so long."""


class Logging(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log lines on standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    style: Literal["auto", "json", "human"] = "auto"
    """`auto`: for people at a terminal, JSON lines elsewhere."""


class Issuer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One issuer whose tokens count, and what they must look like."""

    url: str
    """The `iss` of its tokens, to the letter."""
    audience: str = "waypost"
    """What `aud` must name, alone unless `other_audiences`."""
    other_audiences: bool = False
    """May `aud` name others beside us?"""
    keys: str
    """Its key set: an https URL of a JWKS, without a password in it (http only on this machine), or the path of a file that holds one."""
    algorithms: tuple[Literal["ES256", "ES384", "RS256", "PS256", "EdDSA"], ...] = (
        "ES256",
        "RS256",
        "PS256",
        "EdDSA",
    )
    profile: Literal["rfc9068", "plain"] = "rfc9068"
    """`rfc9068`: access tokens say that they are (`typ: at+jwt`, client_id, jti). `plain`: for issuers that write `typ: JWT`."""
    maximum_lifetime_seconds: int = 86_400
    """Between `iat` and `exp`."""
    tenant_claim: str = "tenant"
    keys_fresh_seconds: float = 300.0
    """A key set is read again after so long, beside what is going on; a revoked key is out after twice as long at most."""
    keys_stale_seconds: float = 3_600.0
    """With the key set out of reach, its last state counts for so long."""
    keys_pause_seconds: float = 10.0
    """Between two attempts to read it, whatever came of the first."""


class GatewaySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a gateway process is told. Read by `gateway/configuration.py`."""

    listen: Listen = Listen()
    """The API."""
    metrics: MetricsListen = MetricsListen()
    """Health and metrics, without a token: for the inside only."""
    tls: Tls | None = None
    store: Secret = Secret("sqlite:waypost.db")
    """`sqlite:PATH`."""
    issuers: tuple[Issuer, ...] = ()
    """Whose tokens count."""
    development: str | None = None
    """Folder of the development issuer, made at need. Anybody who can read it can be anybody: never in production. None: off."""
    policy: Policies = Policies()
    pki: str | None = None
    """Folder with the root's and this gateway's certificates, for the road to the clusters."""
    regions: tuple[RegionTarget, ...] = ()
    documents: Documents = Documents()
    requests: Requests = Requests()
    health: HealthSettings = HealthSettings()
    failover: Failover = Failover()
    placing: Placing = Placing()
    logging: Logging = Logging()
