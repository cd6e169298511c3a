"""Every setting of a gateway, with its default and its meaning beneath. Durations are in seconds.

Settings are frozen and read once, by `gateway/settings_loading.py`: a group here is a table in the TOML file.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class HealthSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a region counts as lost, slow or failing, and how it comes back; the contract's numbers."""

    probe_interval_seconds: float = 2.0
    """Between two probes of one region; varied by `jitter`, so that gateways do not march in step."""
    jitter: float = 0.2
    """By how much chance moves a probe, either way, and shortens an ejection: a part of each."""
    probe_retry_seconds: float = 0.5
    """Between two probes after one that failed."""
    probe_timeout_seconds: float = 1.0
    """A probe without an answer for so long has failed."""
    failures_down: int = 3
    """Probes in a row that must fail before a region is Unreachable.

    A silent region is Unreachable after 7.5 s at worst, a dead one after 2 s.
    """
    successes_up: int = 5
    """Probes in a row that must succeed before an Unreachable region takes work; at the first start, one."""
    silence_seconds: float = 3.0
    """An event stream without a beat for so long asks for a probe at once."""
    ewma_tau_seconds: float = 10.0
    """The peak EWMA falls towards a faster sample by a factor e in this time."""
    failure_counts_seconds: float = 5.0
    """What a failed call adds to the peak EWMA, as if it had taken so long."""
    consecutive_errors: int = 5
    """Connect errors or 502/503/504 in a row that eject a region."""
    success_ratio: float = 0.8
    """A region is ejected when a smaller part of its recent calls succeeds."""
    success_window_seconds: float = 10.0
    """Calls are recent, for `success_ratio`, for so long."""
    success_minimum_calls: int = 20
    """With fewer calls in the window `success_ratio` ejects nobody."""
    ejection_seconds: float = 30.0
    """The first ejection lasts so long, the n-th n times as long; shortened by chance, up to `jitter`."""
    ejection_maximum_seconds: float = 300.0
    """No ejection lasts longer."""
    ejection_forgotten_seconds: float = 600.0
    """After so long without trouble, the count of ejections starts again."""
    degraded_seconds: float = 0.3
    """A region whose p90 of round trips passes this is Degraded, after `degraded_evaluations`."""
    degraded_window_seconds: float = 10.0
    """The p90 is of the round trips of so long."""
    degraded_evaluations: int = 3
    """Evaluations in a row, one a second, that must pass `degraded_seconds`."""
    recovered_ratio: float = 0.7
    """A Degraded region is well again when its p90 stays under this part of `degraded_seconds`."""
    recovered_seconds: float = 60.0
    """How long it has to stay there."""
    slow_start_seconds: float = 60.0
    """A region that comes back takes its whole share of the work only after so long."""
    slow_start_floor: float = 0.1
    """The part of its share that it takes at first."""
    blackout_seconds: float = 10.0
    """Regions lost within so long of each other count as lost together."""
    blackout_ratio: float = 0.5
    """When more than this part of the regions is lost together, the gateway takes itself to be cut off."""


class FailoverSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a shard waits before it moves, and how often it may."""

    fence_seconds: float = 5.0
    """For so long after its intent a cluster may take a create, counted in the cluster's own uptime."""
    wait_minimum_seconds: float = 2.0
    """An idempotent shard stays Suspect as long as its running tasks have run, but at least so long."""
    wait_maximum_seconds: float = 10.0
    """And at most so long: waiting costs about what moving would (ski rental with a cap)."""
    exclusive_wait_seconds: float = 17.0
    """An exclusive shard waits so long after suspicion AND its fence: the lease's 15 s, 2 s of drift."""
    attempts_maximum: int = 5
    """A shard that lost so many attempts is quarantined."""
    failovers_maximum: int = 20
    """A shard that left so many regions is quarantined; its lost attempts are counted apart."""
    backoff_seconds: float = 1.0
    """A shard waits so long after its first lost attempt, and twice as long after each further one."""
    backoff_maximum_seconds: float = 30.0
    """And at most so long."""
    resend_seconds: float = 1.0
    """A create or tombstone without an answer is sent again after so long."""
    compare_seconds: float = 30.0
    """Between two comparisons of what the cluster holds with what the store says."""
    decision_fresh_seconds: float = 300.0
    """Policy is asked again before a shard is placed under a decision that is older than this."""


class PlacingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Choosing among the regions that fit."""

    near: float = 1.10
    """Scores up to so many times the best count as equal: one winner every time would make a herd."""
    latency_floor_seconds: float = 0.01
    """Round trips below this count as equal: between neighbours the load decides, not noise."""
    batch: int = 500
    """Waiting shards placed in one pass, at most."""
    look_seconds: float = 0.5
    """Between two looks for waiting shards when nothing is known to have changed."""
    defer_seconds: float = 5.0
    """A run that fits nowhere lets others pass for so long, +-20 %, or until a slot it waits for is free."""


class DocumentLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large a submitted document may be."""

    maximum_bytes: int = 1_048_576
    """Of the body, and of what placeholders add to the document."""
    maximum_tasks: int = 10_000
    maximum_edges: int = 100_000
    """Of the `needs` of all tasks together."""
    maximum_shards: int = 1_000
    maximum_nesting: int = 64
    """Levels of lists and mappings within each other."""
    maximum_condition_characters: int = 65_536
    """Of all `when` together: each is compiled at submission, and again in every cluster of the run."""


class Secret(str):
    """A setting that is not shown: it prints `***`. `reveal()` gives the value to the code that needs it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, _: str) -> str:
        return "***"

    def reveal(self) -> str:
        """The value as an ordinary string."""
        return "".join(self)


class ListenAddress(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address to listen on."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    """0: any free port; the line that is printed at the start names it."""


class InternalListenAddress(ListenAddress, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The address of health and metrics."""

    port: Annotated[int, Meta(ge=0, le=65_535)] = 9090


class ApiTls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The PEM files that the API proves its name with."""

    certificate: str
    key: str


class RegionTarget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One region and the cluster that works for it."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    """A DNS label."""
    url: str
    """The scheme picks the kind of cluster: `embedded+https://10.1.0.5:7101`."""
    weight: Annotated[float, Meta(gt=0)] = 1.0
    """Its share of the work, in proportion to those of the other regions."""


class PolicySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules in force."""

    folder: str | None = None
    """Path of a folder of Rego files, `_test.rego` left out. None: those that ship with the gateway."""
    data: str | None = None
    """Path of a JSON file that the rules read as `data`. None: the one that ships."""


class RequestSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one HTTP request may ask for, and how long it may take."""

    page_maximum: Annotated[int, Meta(ge=1)] = 200
    """Runs on one page of a list, at most."""
    heartbeat_seconds: Annotated[float, Meta(gt=0)] = 15.0
    """An event stream on which nothing happened for so long is sent a comment, which keeps it open."""
    follow_pause_seconds: Annotated[float, Meta(ge=0)] = 0.1
    """Between two messages about changes to a run; each costs one read, however many follow the run."""
    streams_per_tenant: Annotated[int, Meta(ge=1)] = 100
    """Event streams and followed logs that one tenant may have open; more is a 429."""
    streams_maximum: Annotated[int, Meta(ge=1)] = 1_000
    """Those of all tenants together; more is a 503."""
    retry_after_seconds: float = 1.0
    """How long a caller is asked to wait after a 503, jittered by half of it either way."""
    drain_seconds: float = 5.0
    """How long requests that are under way when the gateway stops may still take."""


class LoggingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log lines on standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    style: Literal["auto", "json", "human"] = "auto"
    """`auto`: for people at a terminal, JSON lines elsewhere."""


class Issuer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One issuer whose tokens are accepted, and what they must look like."""

    url: str
    """The `iss` of its tokens, to the letter."""
    audience: str = "waypost"
    """What `aud` must name, and nothing else unless `other_audiences`."""
    other_audiences: bool = False
    """Whether `aud` may name others beside `audience`."""
    keys: str
    """Its key set: the https URL of a JWKS, without a password (http only on this machine), or a path."""
    algorithms: tuple[Literal["ES256", "ES384", "RS256", "PS256", "EdDSA"], ...] = (
        "ES256",
        "RS256",
        "PS256",
        "EdDSA",
    )
    """What its tokens may be signed with."""
    profile: Literal["rfc9068", "plain"] = "rfc9068"
    """`rfc9068`: access tokens by that RFC (`typ: at+jwt`, client_id, jti). `plain`: `typ: JWT` will do."""
    maximum_lifetime_seconds: int = 86_400
    """From `iat` to `exp`, at most."""
    tenant_claim: str = "tenant"
    """The claim that names the caller's tenant."""
    keys_fresh_seconds: float = 300.0
    """The keys are read again so often, in the background; a revoked key counts for at most twice as long."""
    keys_stale_seconds: float = 3_600.0
    """Keys that cannot be read again count for so long after they were read last."""
    keys_pause_seconds: float = 10.0
    """Between two attempts to read it, whatever the result of the first."""


class GatewaySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of a gateway process."""

    listen: ListenAddress = ListenAddress()
    """Where the API is."""
    metrics: InternalListenAddress = InternalListenAddress()
    """Where health and metrics are, which need no token: reachable from inside only."""
    tls: ApiTls | None = None
    """None: the API is plain HTTP."""
    store: Secret = Secret("sqlite:waypost.db")
    """A URL whose scheme picks the store: `sqlite:PATH`."""
    issuers: tuple[Issuer, ...] = ()
    """Whose tokens are accepted."""
    development: str | None = None
    """Path of the development issuer's folder, made at need. None: off.

    Anybody who can read the folder can act as anybody: never in production.
    """
    policy: PolicySettings = PolicySettings()
    pki: str | None = None
    """Path of a folder with the root's and this gateway's certificates, to reach clusters with."""
    regions: tuple[RegionTarget, ...] = ()
    documents: DocumentLimits = DocumentLimits()
    requests: RequestSettings = RequestSettings()
    health: HealthSettings = HealthSettings()
    failover: FailoverSettings = FailoverSettings()
    placing: PlacingSettings = PlacingSettings()
    logging: LoggingSettings = LoggingSettings()
