"""The settings of automatic rollbacks."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.reconciling_settings import Count, Part, Seconds
from gateway.secret import Secret


class RollbackSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of automatic rollbacks: when a release is rolled back, and by what evidence."""

    mode: Literal["off", "dry-run", "on"] = "off"
    """`dry-run` records what `on` would take back, and takes nothing back."""
    alerts_token: Secret | None = None
    """The token that Alertmanager and Grafana send as `Authorization: Bearer`; None: that way none comes."""
    alerts_key: Secret | None = None
    """The key of the HMAC that Grafana signs its alerts with; None: that way none comes."""
    alerts_age_seconds: Seconds = 300.0
    """How far the timestamp of a signed alert may be from now, either way."""
    prometheus_url: str | None = None
    """The base URL of the Prometheus that is asked for evidence; None: nothing is taken back."""
    prometheus_seconds: Seconds = 5.0
    """How long all answers of Prometheus to one question may take together."""
    clock_offset_seconds: Seconds = 30.0
    """How far its clock may be from this gateway's; beyond that its answers are no evidence."""
    pass_seconds: Seconds = 5.0
    """The pause between two looks at alerts and rollbacks."""
    window_seconds: Annotated[int, Meta(ge=1)] = 300
    """The time that evidence is about, up to now."""
    refused_share: Part = 0.05
    """The part of submissions that the release must refuse, or more, to be taken back."""
    ratio: Annotated[float, Meta(ge=1)] = 2.0
    """How many times the baseline's share that must be."""
    requests: Count = 200
    """Submissions of the release, and of the baseline, below which their shares are no evidence."""
    released_seconds: Seconds = 120.0
    """The least time since the release: what was before is not its fault."""
    released_seconds_maximum: Seconds = 3_600.0
    """The most time since the release: what begins later is not its fault."""
    pause_seconds: Seconds = 1_800.0
    """The least time between two rollbacks."""
    day_maximum: Annotated[int, Meta(ge=0)] = 2
    """The most rollbacks in 24 hours; then a person is wanted."""
    verify_seconds: Seconds = 300.0
    """After so long it is looked at whether a rollback has helped."""
