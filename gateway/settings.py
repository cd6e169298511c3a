"""Every setting of a gateway, with its default and its meaning beneath. Durations are in seconds.

Settings are frozen and read once, by `gateway/settings_loading.py`: a group here is a table in the TOML file.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

# As themselves: every group of settings is to be had here.
from gateway.reconciling_settings import FailoverSettings as FailoverSettings
from gateway.reconciling_settings import HealthSettings as HealthSettings
from gateway.reconciling_settings import PlacingSettings as PlacingSettings
from gateway.rollback_settings import RollbackSettings as RollbackSettings
from gateway.secret import Secret as Secret


class DocumentLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bounds on the size of a submitted document."""

    maximum_bytes: Annotated[int, Meta(ge=1)] = 1_048_576
    """The most bytes in the body, and the most that placeholders may add to the document."""
    maximum_tasks: Annotated[int, Meta(ge=1)] = 10_000
    maximum_edges: int = 100_000
    """The most names in the `needs` of all tasks together."""
    maximum_shards: Annotated[int, Meta(ge=1)] = 1_000
    maximum_nesting: Annotated[int, Meta(ge=1)] = 64
    """The most levels of lists and mappings within each other."""
    maximum_yaml_values: int = 200_000
    """The most names and values in a YAML document, whose reader is slower; JSON is bounded by its bytes."""
    maximum_condition_characters: int = 65_536
    """The most characters in all `when` together: each is compiled at submission and in every cluster."""
    condition_seconds: Annotated[float, Meta(gt=0)] = 0.1
    """The processor time of one evaluation of a condition; what takes more is killed and refused."""
    conditions_seconds: Annotated[float, Meta(gt=0)] = 0.2
    """The processor time of all conditions of one document.

    Conditions that are left then are only compiled, within as much time again, or else refused.
    """


class ListenAddress(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address to listen on."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    """The TCP port; 0: any free one, which the line that is printed at the start names."""


class InternalListenAddress(ListenAddress, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The address of health and metrics."""

    port: Annotated[int, Meta(ge=0, le=65_535)] = 9090


class ApiTls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The PEM files of the API's server certificate and key."""

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
    cluster: dict[str, Any] = {}
    """The settings of its kind of cluster, as that kind declares them in `clusters/registry.py`.

    `embedded+https`: the time-outs of calls, `Timeouts` in `clusters/transport.py`.
    """


class PolicySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The engine that evaluates policy: the rules and data of the embedded one, and how OPA is reached."""

    engine: str = "embedded"
    """`embedded` evaluates Rego in the gateway's own process.

    `opa+http://127.0.0.1:8181`, `opa+https://HOST:8181` or `opa+unix:/PATH` asks an OPA, which holds the
    rules as a bundle with a revision.
    """
    folder: str | None = None
    """Path of a folder of Rego files, `_test.rego` left out. None: those that ship with the gateway."""
    data: str | None = None
    """Path of a JSON file that the rules read as `data`. None: the one that ships."""
    ca: str | None = None
    """Path of the PEM file with the root certificates for `opa+https`; None: the public ones."""
    token: Secret | None = None
    """The bearer token that OPA asks for (`--authentication=token`); None: none."""
    candidate_engine: str | None = None
    """The address of a second OPA, which tries bundles out; None: the embedded engine does."""
    shadow_per_second: Annotated[float, Meta(gt=0)] = 200.0
    """How many decisions a second a bundle in shadow is compared with, at most; others are skipped."""
    approval_seconds: Annotated[float, Meta(gt=0)] = 86_400.0
    """How long a step that policy wants others to approve waits for them."""
    deadline_seconds: Annotated[float, Meta(gt=0)] = 0.1
    """How long OPA may take for an answer; beyond, policy could not answer."""
    large_deadline_seconds: Annotated[float, Meta(gt=0)] = 1.0
    """The same for documents over 64 KiB."""
    bundle: str | None = None
    """Path of a signed bundle; a newer one that is put there is activated at once. None: no such file."""
    bundle_key: str | None = None
    """Path of the PEM file with the public key that bundles are signed for. None: only --dev takes any."""
    bundle_maximum_age_seconds: Annotated[float, Meta(gt=0)] | None = None
    """Submissions get a 503 when what decides was activated longer ago. None: it may be of any age."""
    bundle_key_id: str = "waypost"
    """The name of that key, which the signature must give."""
    recorded_refusals: Annotated[int, Meta(ge=1)] = 10_000
    """The newest refusals that are kept as records; older ones are deleted, so a flood fills no disk."""
    recorded_refusals_of_tenant: Annotated[int, Meta(ge=1)] = 1_000
    """The newest of them that are kept of one tenant."""
    exceptions_of_tenant: Annotated[int, Meta(ge=1)] = 100
    """Policy exceptions of one tenant that may be pending or active at once."""
    exception_seconds: Annotated[float, Meta(gt=0)] = 7_776_000.0
    """The longest time for which an exception may be asked for: 90 days."""
    opa_records: Annotated[int, Meta(ge=1)] = 10_000
    """The newest decisions of OPA whose own records are kept, where it logs them to the internal port."""
    record_permitted_reads: bool = False
    """Whether permitted reads are recorded too, among as many refusals. What changes anything always is."""


class AuditSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The seals over the audit trail, by which every later change of it is found."""

    key: str | None = None
    """Path of the PEM file with the private key of the seals (ECDSA P-256). None: the trail is not sealed."""
    seal_seconds: Annotated[float, Meta(gt=0)] = 1.0
    """How often what was recorded since is sealed."""


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
    send_seconds: Annotated[float, Meta(gt=0)] = 30.0
    """A caller for whom an answer waits, and who takes next to nothing of it for so long, is cut off."""
    unread_bytes_per_tenant: Annotated[int, Meta(ge=1)] = 64 * 1_048_576
    """Bytes of large answers that wait for one tenant's callers to read them; beyond, reads get a 429."""
    unread_bytes_maximum: Annotated[int, Meta(ge=1)] = 256 * 1_048_576
    """Those of all tenants together; beyond, reads get a 503."""
    unfinished_bytes_per_tenant: Annotated[int, Meta(ge=1)] = 64 * 1_048_576
    """Bytes of one tenant's request bodies that have begun to arrive; beyond, they get a 429."""
    unfinished_bytes_maximum: Annotated[int, Meta(ge=1)] = 256 * 1_048_576
    """Those of all tenants together; beyond, they get a 503."""
    retry_after_seconds: Annotated[float, Meta(gt=0)] = 1.0
    """How long a caller is asked to wait after a 503, jittered by half of it either way."""
    drain_seconds: float = 5.0
    """How long requests that are under way when the gateway stops may still take."""


class TenantSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits on tenants' open runs, requests and documents, where policy sets no other for a tenant."""

    open_runs: Annotated[int, Meta(ge=1)] = 250_000
    """Runs that are accepted and not over, at most; more is a 429."""
    open_shards: Annotated[int, Meta(ge=1)] = 1_000_000
    """Shards of those runs, at most."""
    open_tasks: Annotated[int, Meta(ge=1)] = 100_000_000
    """Tasks of all those shards, at most: ten runs of the largest size."""
    requests_per_second: Annotated[float, Meta(gt=0)] | None = None
    """Requests, cancellations not counted; five seconds' worth may come at once. None: any number."""
    requests_at_once: Annotated[int, Meta(ge=4)] = 64
    """Requests of all tenants that are handled at once; a tenant has one in 64 while others ask too."""
    request_wait_seconds: Annotated[float, Meta(gt=0)] = 0.5
    """A request that was not handled within so long is a 503; cancellations wait on."""
    large_documents_at_once: Annotated[int, Meta(ge=1)] = 2
    """Processes that read documents: those over 8 KiB, and those with mistakes or conditions.

    A tenant has all but one of these places at most, and one while others send some too.
    """


class LoggingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The level and the style of the log lines on standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    style: Literal["auto", "json", "human"] = "auto"
    """`auto`: for people at a terminal, JSON lines elsewhere."""


class Issuer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One issuer whose tokens are accepted, with the requirements on its tokens."""

    url: str
    """The `iss` of its tokens, to the letter."""
    audience: str = "waypost"
    """The audience that `aud` must name, alone unless `other_audiences`."""
    other_audiences: bool = False
    """Whether `aud` may name others beside `audience`."""
    keys: str | None = None
    """Its key set: the https URL of a JWKS, without a password (http only on this machine), or a path.

    None: the `jwks_uri` that `url` names at /.well-known/openid-configuration.
    """
    ca: str | None = None
    """Path of the PEM file with the root certificates for its https addresses; None: the public ones."""
    algorithms: tuple[Literal["ES256", "ES384", "RS256", "PS256", "EdDSA"], ...] = (
        "ES256",
        "RS256",
        "PS256",
        "EdDSA",
    )
    """The algorithms that its tokens may be signed with."""
    profile: Literal["rfc9068", "plain"] = "rfc9068"
    """The form of its tokens. `rfc9068`: `typ: at+jwt`, client_id and jti. `plain`: `typ: JWT` will do."""
    maximum_lifetime_seconds: Annotated[int, Meta(ge=1)] = 86_400
    """The longest lifetime of a token, from `iat` to `exp`."""
    tenant_claim: str = "tenant"
    """The claim that names the caller's tenant."""
    keys_fresh_seconds: Annotated[float, Meta(gt=0)] = 300.0
    """The age at which keys are read again, in the background; a revoked key counts at most twice as long."""
    keys_stale_seconds: Annotated[float, Meta(gt=0)] = 3_600.0
    """How long keys that cannot be read again still count after they were read last."""
    keys_pause_seconds: Annotated[float, Meta(gt=0)] = 10.0
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
    store_restored: bool = False
    """Whether the store was restored from a copy: a new era begins, at each start.

    `waypost gateway --restored` says it for one start.
    """
    issuers: tuple[Issuer, ...] = ()
    """The issuers whose tokens are accepted."""
    development: str | None = None
    """Path of the development issuer's folder, made at need. None: off.

    Anybody who can read the folder can act as anybody: never in production.
    """
    policy: PolicySettings = PolicySettings()
    audit: AuditSettings = AuditSettings()
    pki: str | None = None
    """Path of a folder with the root's and this gateway's certificates, to reach clusters with."""
    regions: tuple[RegionTarget, ...] = ()
    documents: DocumentLimits = DocumentLimits()
    requests: RequestSettings = RequestSettings()
    tenants: TenantSettings = TenantSettings()
    health: HealthSettings = HealthSettings()
    failover: FailoverSettings = FailoverSettings()
    placing: PlacingSettings = PlacingSettings()
    rollback: RollbackSettings = RollbackSettings()
    logging: LoggingSettings = LoggingSettings()
