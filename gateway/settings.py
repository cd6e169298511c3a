"""All settings of a gateway, as fields with defaults; each field's meaning stands beneath.

Durations are in seconds. Settings are frozen and read once, by `gateway/settings_loading.py`: a group of
settings here is a table in the TOML file.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gateway.ended_run_settings import NotificationSettings, RetentionSettings

# As themselves: every group of settings is to be had here.
from gateway.reconciling_settings import FailoverSettings as FailoverSettings
from gateway.reconciling_settings import HealthSettings as HealthSettings
from gateway.reconciling_settings import PlacingSettings as PlacingSettings
from gateway.rollback_settings import RollbackSettings as RollbackSettings
from gateway.secret import Secret as Secret


class DocumentLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits on the size of a submitted document."""

    maximum_bytes: Annotated[int, Meta(ge=1)] = 1_048_576
    """The maximum size of the request body, and of what placeholders may add to the document, in bytes."""
    maximum_tasks: Annotated[int, Meta(ge=1)] = 10_000
    maximum_edges: int = 100_000
    """The maximum number of names in the `needs` of all tasks together."""
    maximum_shards: Annotated[int, Meta(ge=1)] = 1_000
    maximum_nesting: Annotated[int, Meta(ge=1)] = 64
    """The maximum nesting depth of lists and mappings."""
    maximum_yaml_values: int = 200_000
    """The maximum number of names and values in a YAML document, whose reader is slower than that of JSON."""
    maximum_condition_characters: int = 65_536
    """The maximum number of characters in all `when` conditions of a document together."""
    condition_seconds: Annotated[float, Meta(gt=0)] = 0.1
    """The maximum processor time of one evaluation of a condition; a condition that takes more is refused."""
    conditions_seconds: Annotated[float, Meta(gt=0)] = 0.2
    """The maximum processor time of all conditions of one document.

    Conditions that are left then are only compiled, within as much time again, or else refused.
    """


class ListenAddress(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The host and TCP port that a server of the gateway listens on."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    """The TCP port; 0 for any free port, which is printed at the start."""


class InternalListenAddress(ListenAddress, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The host and TCP port of the gateway's internal server, which serves health and metrics."""

    port: Annotated[int, Meta(ge=0, le=65_535)] = 9090


class ApiTls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The paths of the PEM files with the TLS certificate and key of the API."""

    certificate: str
    key: str


class RegionTarget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One region in the settings: its name, weight, and the address of its cluster."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    """The region's name, a DNS label."""
    url: str
    """The cluster's URL, whose scheme picks the kind of cluster: `embedded+https://10.1.0.5:7101`."""
    weight: Annotated[float, Meta(gt=0)] = 1.0
    """The region's share of the work relative to others, unless a routing revision gives it another."""
    cluster: dict[str, Any] = {}
    """The settings of the region's cluster, as its kind declares them in `clusters/registry.py`.

    `embedded+https`: the time-outs of calls, `Timeouts` in `clusters/transport.py`.
    """


class PolicySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of policy: which engine evaluates it, where its rules are, and how OPA is reached."""

    engine: str = "embedded"
    """The policy engine: embedded, or the address of an OPA.

    `embedded` evaluates Rego in the gateway's own process.
    `opa+http://127.0.0.1:8181`, `opa+https://HOST:8181` or `opa+unix:/PATH` asks an OPA, which holds the
    rules as a bundle with a revision.
    """
    folder: str | None = None
    """Path of a folder of Rego files, `_test.rego` left out. None: those that ship with the gateway."""
    data: str | None = None
    """Path of a JSON file that the rules read as `data`. None: the one that ships."""
    ca: str | None = None
    """Path of the PEM file with the root certificates for `opa+https`; None: the public roots."""
    token: Secret | None = None
    """The bearer token that OPA requires (`--authentication=token`); None: no token is sent."""
    candidate_engine: str | None = None
    """The address of a second OPA that evaluates candidate bundles; None: the embedded engine does."""
    shadow_per_second: Annotated[float, Meta(gt=0)] = 50.0
    """The maximum decisions per second that a bundle in shadow is compared with."""
    approval_seconds: Annotated[float, Meta(gt=0)] = 86_400.0
    """The time for which a rollout change that policy wants approved waits for its approvals."""
    deadline_seconds: Annotated[float, Meta(gt=0)] = 0.1
    """The time limit for an answer of OPA; beyond it policy could not answer."""
    large_deadline_seconds: Annotated[float, Meta(gt=0)] = 1.0
    """The time limit for an answer of OPA about documents over 64 KiB."""
    bundle: str | None = None
    """Path of a signed policy bundle; a newer file at this path is activated at once. None: no such file."""
    bundle_key: str | None = None
    """Path of the PEM file with the public key that verifies bundles. None: for --dev only.

    With --dev and no key, unsigned bundles are taken too.
    """
    bundle_maximum_age_seconds: Annotated[float, Meta(gt=0)] | None = None
    """The maximum age of the active policy; beyond it submissions get a 503. None: any age."""
    bundle_key_id: str = "waypost"
    """The id of the key in `bundle_key`, which a bundle's signature must name."""
    recorded_refusals: Annotated[int, Meta(ge=1)] = 10_000
    """The number of newest refusals that are kept as records; older ones are deleted."""
    recorded_refusals_of_tenant: Annotated[int, Meta(ge=1)] = 1_000
    """The number of newest refusals that are kept as records for one tenant."""
    exceptions_of_tenant: Annotated[int, Meta(ge=1)] = 100
    """The maximum number of a tenant's policy exceptions that may be pending or active at once."""
    exception_seconds: Annotated[float, Meta(gt=0)] = 7_776_000.0
    """The maximum time for which a policy exception may be requested: 90 days by default."""
    opa_records: Annotated[int, Meta(ge=1)] = 10_000
    """The number of OPA's newest decision log events that are kept, if OPA sends them here."""
    record_permitted_reads: bool = False
    """Whether permitted reads are recorded too, within the limits of refusals. Changes always are."""


class AuditSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the audit trail's seals (signed digests), which reveal later changes of the trail."""

    key: str | None = None
    """Path of the PEM file with the private key of the seals (ECDSA P-256). None: the trail is not sealed."""
    seal_seconds: Annotated[float, Meta(gt=0)] = 1.0
    """The pause between two seals of newly recorded entries."""


class RequestSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits on HTTP requests and event streams: their size, time and number."""

    page_maximum: Annotated[int, Meta(ge=1)] = 200
    """The maximum number of runs on one page of a list."""
    heartbeat_seconds: Annotated[float, Meta(gt=0)] = 15.0
    """The time without an event after which an event stream is sent a comment, which keeps it open."""
    follow_pause_seconds: Annotated[float, Meta(ge=0)] = 0.1
    """The pause between two messages about changes to a run; each costs one read for all followers."""
    streams_per_tenant: Annotated[int, Meta(ge=1)] = 100
    """The maximum number of one tenant's open event streams and followed logs; more get a 429."""
    streams_maximum: Annotated[int, Meta(ge=1)] = 1_000
    """The maximum number of all tenants' open event streams and followed logs; more get a 503."""
    send_seconds: Annotated[float, Meta(gt=0)] = 30.0
    """The time after which a caller who reads next to nothing of a waiting answer is disconnected."""
    unread_bytes_per_tenant: Annotated[int, Meta(ge=1)] = 64 * 1_048_576
    """The maximum bytes of large answers that wait for one tenant's callers; beyond, reads get a 429."""
    unread_bytes_maximum: Annotated[int, Meta(ge=1)] = 256 * 1_048_576
    """The maximum bytes of large answers that wait for all callers; beyond, reads get a 503."""
    unfinished_bytes_per_tenant: Annotated[int, Meta(ge=1)] = 64 * 1_048_576
    """The maximum bytes of one tenant's unfinished request bodies; beyond, such requests get a 429."""
    unfinished_bytes_maximum: Annotated[int, Meta(ge=1)] = 256 * 1_048_576
    """The maximum bytes of all tenants' unfinished request bodies; beyond, such requests get a 503."""
    retry_after_seconds: Annotated[float, Meta(gt=0)] = 1.0
    """The time that a caller is asked to wait after a 503, jittered by half of it either way."""
    drain_seconds: float = 5.0
    """The time that requests under way may still take when the gateway stops."""


class TenantSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits on one tenant's open runs, requests and documents, where policy sets no others."""

    open_runs: Annotated[int, Meta(ge=1)] = 250_000
    """The maximum number of a tenant's accepted and unfinished runs; more get a 429."""
    open_shards: Annotated[int, Meta(ge=1)] = 1_000_000
    """The maximum number of shards of a tenant's unfinished runs."""
    open_tasks: Annotated[int, Meta(ge=1)] = 100_000_000
    """The maximum number of tasks of a tenant's unfinished shards: ten runs of the largest size."""
    released_workflows: Annotated[int, Meta(ge=1)] = 1_000
    """The maximum number of a tenant's released workflows; another name gets a 409."""
    requests_per_second: Annotated[float, Meta(gt=0)] | None = None
    """The maximum requests per second of a tenant, cancellations aside. None: no limit.

    Requests of five seconds may come at once.
    """
    requests_at_once: Annotated[int, Meta(ge=4)] = 64
    """The maximum number of requests handled at once; one tenant gets 3 in 4, and 1 in 64 if others wait."""
    request_wait_seconds: Annotated[float, Meta(gt=0)] = 0.5
    """The maximum wait of a request before it is handled; beyond it a 503, but cancellations wait on."""
    large_documents_at_once: Annotated[int, Meta(ge=1)] = 2
    """The number of processes that read large documents, and those with mistakes or conditions.

    A tenant has all but one of these places at most, and one while others send some too.
    """


class LoggingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of log lines, which go to standard error: their level and style."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    style: Literal["auto", "json", "human"] = "auto"
    """The style of log lines: `auto` is for people at a terminal, and JSON elsewhere."""


class TracingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of OpenTelemetry spans, which need the packages of the extra `waypost[otel]`."""

    endpoint: str | None = None
    """The URL that spans are sent to over OTLP/HTTP: `http://127.0.0.1:4318/v1/traces`; None: none are sent.

    Headers, certificates and compression are in OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_HEADERS`).
    """
    share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """The share of the traces that a gateway begins of which it records spans, as do clusters.

    Whether a trace that a caller begins is recorded is the caller's to say.
    """


class Issuer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One token issuer in the settings, with the requirements on the tokens that it issues."""

    url: str
    """The issuer's URL, which the claim `iss` of its tokens must equal exactly."""
    audience: str = "waypost"
    """The audience that the claim `aud` must name, alone unless `other_audiences`."""
    other_audiences: bool = False
    """Whether the claim `aud` may name others beside `audience`."""
    keys: str | None = None
    """The issuer's key set: the https URL of a JWKS without a password, or a file's path.

    An http URL must be on this machine.
    None: the `jwks_uri` that `url` names at /.well-known/openid-configuration.
    """
    ca: str | None = None
    """Path of the PEM file with the root certificates for the issuer; None: the public roots."""
    algorithms: tuple[Literal["ES256", "ES384", "RS256", "PS256", "EdDSA"], ...] = (
        "ES256",
        "RS256",
        "PS256",
        "EdDSA",
    )
    """The algorithms with which the issuer's tokens may be signed."""
    profile: Literal["rfc9068", "plain"] = "rfc9068"
    """The form of the issuer's tokens. `rfc9068`: `typ: at+jwt`, client_id and jti. `plain`: `typ: JWT`
    will do."""
    maximum_lifetime_seconds: Annotated[int, Meta(ge=1)] = 86_400
    """The maximum lifetime of a token, from `iat` to `exp`."""
    tenant_claim: str = "tenant"
    """The claim that names the caller's tenant."""
    keys_fresh_seconds: Annotated[float, Meta(gt=0)] = 300.0
    """The age at which keys are read again, in the background; a revoked key counts at most twice as long."""
    keys_stale_seconds: Annotated[float, Meta(gt=0)] = 3_600.0
    """The age up to which keys that cannot be read again still count."""
    keys_pause_seconds: Annotated[float, Meta(gt=0)] = 10.0
    """The pause between two attempts to read the keys, successful or not."""


class GatewaySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of a gateway process."""

    listen: ListenAddress = ListenAddress()
    """The address that the API listens on."""
    metrics: InternalListenAddress = InternalListenAddress()
    """The address of health and metrics, which need no token: only the inside may reach it."""
    tls: ApiTls | None = None
    """The API's certificate and key; None: the API is plain HTTP."""
    store: Secret = Secret("sqlite:waypost.db")
    """The URL of the store, whose scheme selects its kind: `sqlite:PATH`."""
    store_restored: bool = False
    """Whether the store was restored from a copy, so that a new era begins, at each start.

    `waypost gateway --restored` says it for one start.
    """
    issuers: tuple[Issuer, ...] = ()
    """The token issuers whose tokens are accepted."""
    development: str | None = None
    """Path of the development issuer's folder, made if needed. None: no development tokens.

    Anybody who can read the folder can act as anybody: never in production.
    """
    policy: PolicySettings = PolicySettings()
    audit: AuditSettings = AuditSettings()
    pki: str | None = None
    """Path of the folder with the root's and this gateway's certificates for calls to clusters."""
    regions: tuple[RegionTarget, ...] = ()
    documents: DocumentLimits = DocumentLimits()
    requests: RequestSettings = RequestSettings()
    tenants: TenantSettings = TenantSettings()
    health: HealthSettings = HealthSettings()
    failover: FailoverSettings = FailoverSettings()
    placing: PlacingSettings = PlacingSettings()
    rollback: RollbackSettings = RollbackSettings()
    retention: RetentionSettings = RetentionSettings()
    notifications: NotificationSettings = NotificationSettings()
    logging: LoggingSettings = LoggingSettings()
    tracing: TracingSettings = TracingSettings()
