"""The settings of automatic rollbacks of releases."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from gateway.reconciling_settings import Count, Fraction, Seconds
from gateway.secret import Secret

Mode = Literal["off", "dry-run", "on"]
Window = Annotated[int, Meta(ge=1)]
Ratio = Annotated[float, Meta(ge=1)]
Most = Annotated[int, Meta(ge=0)]


class ReleaseKindSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rollback settings of one kind of release.

    Where a field is None, the setting of the same name in the table `rollback` applies to the kind.
    """

    mode: Mode | None = None
    window_seconds: Window | None = None
    bad_share: Fraction | None = None
    ratio: Ratio | None = None
    requests: Count | None = None
    released_seconds: Seconds | None = None
    released_seconds_maximum: Seconds | None = None
    pause_seconds: Seconds | None = None
    day_maximum: Most | None = None
    day_maximum_overall: Most | None = None
    verify_seconds: Seconds | None = None
    step_seconds: Seconds | None = None


class LaterKindSettings(ReleaseKindSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rollback settings of a kind of release whose rollbacks stay off until its own `mode` is set."""

    mode: Mode | None = "off"


SecretReference = Annotated[str, Meta(pattern=r"^(file:/.+|env:[A-Za-z_][A-Za-z0-9_]*)$")]
Expression = Annotated[str, Meta(min_length=1, max_length=2_000)]


class ExternalDeployment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a deployment outside of Waypost: what proves it bad, and which request rolls it back.

    `total` and `bad` are PromQL with `$version` and `$window`. In the request `$name`, `$version`,
    `$previous` (the version to return to) and `$rollback` (an id) are replaced, and `$token` in headers and
    body.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    """The name by which alerts mean it, in their label `release`: `shop`, or `shop@1.4.2`."""
    deployed: Expression
    """The PromQL for the time at which each version (a label) was deployed, in seconds since 1970."""
    total: Expression
    """The PromQL for the results (such as requests) of a version in a window."""
    bad: Expression
    """The PromQL for the bad ones among them."""
    canary: bool = False
    """Whether a new version runs beside the one before it, which is the baseline of the same window then."""
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    url: Annotated[str, Meta(max_length=2_000)]
    """The address of the request; https, or http on this machine."""
    headers: dict[str, str] = {}
    body: Annotated[str, Meta(max_length=65_536)] = ""
    token: SecretReference | None = None
    """Where the token for `$token` is: `file:/PATH` or `env:NAME`."""
    key: SecretReference | None = None
    """Where the key of the signature is; None: the request is not signed."""
    signature_header: str = "X-Waypost-Signature"
    ca: str | None = None
    """The path of root certificates in PEM that alone are trusted; None: those of the system."""
    seconds: Seconds = 15.0
    """The time limit for all attempts at the request together."""


class RollbackSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of automatic rollbacks: when a release is rolled back, and on what evidence."""

    mode: Mode = "off"
    """Whether releases are rolled back on alerts; `dry-run` only records what `on` would roll back."""
    alerts_token: Secret | None = None
    """The token that senders of alerts give as `Authorization: Bearer`; None: such alerts are refused."""
    alerts_key: Secret | None = None
    """The key of the HMAC with which Grafana signs its alerts; None: no signed alert is accepted."""
    alerts_age_seconds: Seconds = 300.0
    """The maximum difference between the timestamp of a signed alert and now, either way."""
    prometheus_url: str | None = None
    """The base URL of the Prometheus that is queried for evidence; None: nothing is rolled back."""
    prometheus_seconds: Seconds = 5.0
    """The time limit for all of Prometheus's answers about one release together."""
    clock_offset_seconds: Seconds = 30.0
    """The maximum difference between Prometheus's clock and this gateway's for evidence to count."""
    pass_seconds: Seconds = 5.0
    """The pause between two checks of alerts and rollbacks."""
    window_seconds: Window = 300
    """The length of the window, up to now, over which evidence is measured."""
    bad_share: Fraction = 0.05
    """The fraction of bad results that a release must have at least to be rolled back.

    Of a policy bundle it is the fraction of submissions that it refuses, of a workflow that of its shards
    that fail, of a routing revision that of the shards it has placed that fail.
    """
    ratio: Ratio = 2.0
    """The factor by which the release's odds (bad results to others) must exceed the baseline's."""
    requests: Count = 200
    """The number of results below which the release's or baseline's share is no evidence.

    Of a policy bundle they are submissions, of a workflow or a routing revision ended shards.
    """
    released_seconds: Seconds = 120.0
    """The minimum age of a release that is rolled back: earlier faults are not its own."""
    released_seconds_maximum: Seconds = 3_600.0
    """The maximum age of a release that is rolled back: later faults are not its own."""
    pause_seconds: Seconds = 1_800.0
    """The minimum time between two rollbacks of the same kind of release and, where it has one, owner."""
    day_maximum: Most = 2
    """The maximum number of rollbacks of one kind in 24 hours; beyond it a person is paged.

    Of workflows it is the maximum for each tenant, of external deployments for each deployment.
    """
    day_maximum_overall: Most = 10
    """The maximum number of rollbacks of a kind with owners in 24 hours, of all owners together.

    Owners are tenants (of workflows) and external deployments. Beyond it a person is paged.
    """
    verify_seconds: Seconds = 300.0
    """The time after a rollback at which it is verified whether it has helped."""
    step_seconds: Seconds = 600.0
    """The time that a canary has a share of the submissions at least before it gets the next one."""
    policy: ReleaseKindSettings = ReleaseKindSettings()
    """The settings that differ for policy bundles."""
    routing: LaterKindSettings = LaterKindSettings()
    """The settings that differ for routing revisions, which are rolled back only if its `mode` is set."""
    workflow: LaterKindSettings = LaterKindSettings()
    """The settings that differ for released workflows, which are rolled back only if its `mode` is set."""

    external: LaterKindSettings = LaterKindSettings()
    """The settings that differ for external deployments, which are rolled back only if its `mode` is set."""
    deployments: tuple[ExternalDeployment, ...] = ()
    """The external deployments that can be rolled back."""

    def of(self, kind: str) -> "RollbackSettings":
        """Returns the rollback settings for one kind of release: the common ones, with the kind's changes."""
        own: ReleaseKindSettings = getattr(self, kind)
        differing = {name: value for name, value in structs.asdict(own).items() if value is not None}
        return structs.replace(self, **differing)
