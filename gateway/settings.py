"""Every setting of a gateway, with its default and its meaning beneath. Durations are in seconds.

Settings are frozen and read once, by `gateway/settings_loading.py`: a group here is a table in the TOML file.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class HealthSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The thresholds by which a region counts as lost, slow or failing, and by which it comes back."""

    probe_interval_seconds: float = 2.0
    """The pause between two probes of a region; `jitter` varies it, so that gateways do not march in step."""
    jitter: float = 0.2
    """The largest part by which chance changes a probe's pause, either way, and shortens an ejection."""
    probe_retry_seconds: float = 0.5
    """The pause before the next probe after one that failed."""
    probe_timeout_seconds: float = 1.0
    """How long a probe waits for its answer before it has failed."""
    failures_down: int = 3
    """Probes in a row that must fail before a region is Unreachable.

    A silent region is Unreachable after 7.5 s at worst, a dead one after 2 s.
    """
    successes_up: int = 5
    """Probes in a row that must succeed before an Unreachable region takes work; one if it never answered."""
    silence_seconds: float = 3.0
    """How long an event stream may bring nothing, not even a beat; then a probe is sent at once."""
    ewma_tau_seconds: float = 10.0
    """The time in which the peak EWMA falls towards a faster sample by a factor e."""
    failure_counts_seconds: float = 5.0
    """The latency that a failed call or probe counts as in the peak EWMA."""
    consecutive_errors: int = 5
    """Failed calls in a row that eject a region: no connection, no answer in time, or 502/503/504."""
    success_ratio: float = 0.8
    """The part of a region's recent calls that must succeed; with a smaller one it is ejected."""
    success_window_seconds: float = 10.0
    """How long a call counts as recent for `success_ratio`."""
    success_minimum_calls: int = 20
    """Calls that the window must hold for `success_ratio` to eject a region: the ratio of a few is chance."""
    ejection_seconds: float = 30.0
    """The length of the first ejection; the n-th is n times as long. Chance shortens it, up to `jitter`."""
    ejection_maximum_seconds: float = 300.0
    """The length of the longest ejection."""
    ejection_forgotten_seconds: float = 600.0
    """The time without an ejection or a loss after which a region's count of them starts again."""
    degraded_seconds: float = 0.3
    """The p90 of round trips above which a region is Degraded, after `degraded_evaluations`."""
    degraded_window_seconds: float = 10.0
    """The length of the window whose round trips the p90 is taken of."""
    degraded_evaluations: int = 3
    """Evaluations in a row, one a second, in which the p90 must pass `degraded_seconds`."""
    recovered_ratio: float = 0.7
    """The part of `degraded_seconds` under which the p90 of a Degraded region must stay for it to recover."""
    recovered_seconds: float = 60.0
    """How long the p90 must stay under that part."""
    slow_start_seconds: float = 60.0
    """The time over which a region that comes back grows to its whole share of the work."""
    slow_start_floor: float = 0.1
    """The part of its share that a region in slow start takes at first."""
    blackout_seconds: float = 10.0
    """The time within which regions must be lost to count as lost together."""
    blackout_ratio: float = 0.5
    """When more than this part of the regions is lost together, the gateway takes itself to be cut off."""


class FailoverSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a shard moves to another region, how often it may, and when calls and questions are repeated."""

    fence_seconds: float = 5.0
    """How long after the intent a cluster may take its create, counted in the cluster's own uptime."""
    wait_minimum_seconds: float = 2.0
    """The shortest wait of a Suspect idempotent shard, which waits as long as its running tasks have run."""
    wait_maximum_seconds: float = 10.0
    """The longest such wait: waiting costs about what moving would (ski rental with a cap)."""
    exclusive_wait_seconds: float = 17.0
    """The wait of an exclusive shard after BOTH suspicion and fence: the lease's 15 s, 2 s of drift."""
    attempts_maximum: int = 5
    """Lost attempts after which a shard is quarantined."""
    failovers_maximum: int = 20
    """Failovers after which a shard is quarantined; lost attempts are counted apart."""
    region_losses_maximum: int = 5
    """Regions that died or fell silent for good while a task of a shard ran there, until its quarantine.

    After two of them it is kept from other shards like it, so that no innocent is quarantined with it.
    """
    losses_forgotten_seconds: float = 3_600.0
    """The time without such a loss after which a shard's count of them starts again."""
    apart_seconds: float = 30.0
    """The shortest time for which a shard that lost two regions has a region without others like it.

    The time is half as long again as its tasks had run when it lost a region, if that is longer.
    """
    backoff_seconds: float = 1.0
    """The pause of a shard after its first lost attempt; each further one doubles it."""
    backoff_maximum_seconds: float = 30.0
    """The longest pause of a shard after a lost attempt."""
    resend_seconds: float = 1.0
    """How long a create or tombstone waits for its answer before it is sent again."""
    compare_seconds: float = 30.0
    """The pause between two comparisons of the attempts that a cluster holds with those in the store."""
    decision_fresh_seconds: float = 300.0
    """The age up to which a decision is fresh: policy is asked again before an older one places a shard."""


class PlacingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often and how many waiting shards are placed, and which of the regions that fit count as equal."""

    near: float = 1.10
    """The factor of the best score up to which scores count as equal: one winner would make a herd."""
    latency_floor_seconds: float = 0.01
    """Round trips below this count as equal: between neighbours the load decides, not noise."""
    batch: int = 100
    """The most waiting shards that one pass places."""
    look_seconds: float = 0.5
    """The pause between two looks for waiting shards when nothing is known to have changed."""
    defer_seconds: float = 5.0
    """How long a run that fits nowhere lets others pass (+-20 %), unless a slot for it is free sooner."""


class DocumentLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bounds on the size of a submitted document."""

    maximum_bytes: int = 1_048_576
    """The most bytes in the body, and the most that placeholders may add to the document."""
    maximum_tasks: int = 10_000
    maximum_edges: int = 100_000
    """The most names in the `needs` of all tasks together."""
    maximum_shards: int = 1_000
    maximum_nesting: int = 64
    """The most levels of lists and mappings within each other."""
    maximum_condition_characters: int = 65_536
    """The most characters in all `when` together: each is compiled at submission and in every cluster."""
    condition_seconds: Annotated[float, Meta(gt=0)] = 0.1
    """The processor time of one evaluation of a condition; what takes more is killed and refused."""
    conditions_seconds: Annotated[float, Meta(gt=0)] = 0.2
    """That of all conditions together; what is left then is compiled only, in as much again, or refused."""


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
    """The TCP port; 0: any free one, which the line that is printed at the start names."""


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
    """The region's name, a DNS label."""
    url: str
    """The cluster's URL, whose scheme picks the kind of cluster: `embedded+https://10.1.0.5:7101`."""
    weight: Annotated[float, Meta(gt=0)] = 1.0
    """The region's share of the work, in proportion to those of the others."""


class PolicySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The engine that evaluates policy, and the paths of its rules and their data."""

    engine: str = "embedded"
    """`embedded` evaluates Rego in the gateway's own process."""
    folder: str | None = None
    """Path of a folder of Rego files, `_test.rego` left out. None: those that ship with the gateway."""
    data: str | None = None
    """Path of a JSON file that the rules read as `data`. None: the one that ships."""


class RequestSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits on HTTP requests and event streams: their size, time and number."""

    page_maximum: Annotated[int, Meta(ge=1)] = 200
    """The most runs on one page of a list."""
    heartbeat_seconds: Annotated[float, Meta(gt=0)] = 15.0
    """How long nothing happens on an event stream before it is sent a comment, which keeps it open."""
    follow_pause_seconds: Annotated[float, Meta(ge=0)] = 0.1
    """The pause between two messages about changes to a run; each costs one read for all followers."""
    streams_per_tenant: Annotated[int, Meta(ge=1)] = 100
    """Event streams and followed logs that one tenant may have open; more is a 429."""
    streams_maximum: Annotated[int, Meta(ge=1)] = 1_000
    """Event streams and followed logs that all tenants together may have open; more is a 503."""
    retry_after_seconds: float = 1.0
    """How long a caller is asked to wait after a 503, jittered by half of it either way."""
    drain_seconds: float = 5.0
    """How long requests that are under way when the gateway stops may still take."""


class TenantSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one tenant may ask of this gateway, where policy sets no other limit for it."""

    open_runs: Annotated[int, Meta(ge=1)] = 250_000
    """Runs that are accepted and not over, at most; more is a 429."""
    open_shards: Annotated[int, Meta(ge=1)] = 1_000_000
    """Shards of those runs, at most."""
    open_tasks: Annotated[int, Meta(ge=1)] = 100_000_000
    """Tasks of all those shards, at most: ten runs of the largest size."""
    requests_per_second: Annotated[float, Meta(gt=0)] | None = None
    """Requests, cancellations not counted; five seconds' worth may come at once. None: any number."""
    requests_at_once: Annotated[int, Meta(ge=4)] = 16
    """Requests of all tenants that are handled at once; a tenant has a quarter while others ask too."""
    request_wait_seconds: Annotated[float, Meta(gt=0)] = 0.5
    """A request that was not handled within so long is a 503; cancellations wait on."""
    large_documents_at_once: Annotated[int, Meta(ge=1)] = 2
    """Documents over 8 KiB that are read at once; a tenant has one while others send some too."""


class LoggingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The level and the style of the log lines on standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    style: Literal["auto", "json", "human"] = "auto"
    """`auto`: for people at a terminal, JSON lines elsewhere."""


class Issuer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One issuer whose tokens are accepted, and what they must look like."""

    url: str
    """The `iss` of its tokens, to the letter."""
    audience: str = "waypost"
    """The audience that `aud` must name, alone unless `other_audiences`."""
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
    """The algorithms that its tokens may be signed with."""
    profile: Literal["rfc9068", "plain"] = "rfc9068"
    """The form of its tokens. `rfc9068`: `typ: at+jwt`, client_id and jti. `plain`: `typ: JWT` will do."""
    maximum_lifetime_seconds: int = 86_400
    """The longest lifetime of a token, from `iat` to `exp`."""
    tenant_claim: str = "tenant"
    """The claim that names the caller's tenant."""
    keys_fresh_seconds: float = 300.0
    """The age at which keys are read again, in the background; a revoked key counts at most twice as long."""
    keys_stale_seconds: float = 3_600.0
    """How long keys that cannot be read again still count after they were read last."""
    keys_pause_seconds: float = 10.0
    """The pause between two attempts to read the keys, whatever the result of the first."""


class GatewaySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of a gateway process."""

    listen: ListenAddress = ListenAddress()
    """The address that the API listens on."""
    metrics: InternalListenAddress = InternalListenAddress()
    """The address that health and metrics listen on; they need no token, so only the inside may reach it."""
    tls: ApiTls | None = None
    """The API's certificate and key; None: the API is plain HTTP."""
    store: Secret = Secret("sqlite:waypost.db")
    """A URL whose scheme picks the store: `sqlite:PATH`."""
    issuers: tuple[Issuer, ...] = ()
    """The issuers whose tokens are accepted."""
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
    tenants: TenantSettings = TenantSettings()
    health: HealthSettings = HealthSettings()
    failover: FailoverSettings = FailoverSettings()
    placing: PlacingSettings = PlacingSettings()
    logging: LoggingSettings = LoggingSettings()
