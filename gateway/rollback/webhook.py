"""Parses the webhooks of Alertmanager (version 4) and Grafana, and authenticates their senders.

Performs no I/O. Both send the fields that are named here, in the same form. All others are ignored, whatever
is in them: Grafana sends the values that alerts were judged by, larger ones than other documents may have.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.core.errors import Denied, Unauthenticated
from gateway.core.rollback import Alert
from gateway.documents.parsing import parse_json
from gateway.rollback_settings import RollbackSettings

BODY_MAXIMUM_BYTES: Final = 262_144
KIND_LABEL: Final = "rollback"
"""The label by which an alert names the kind of release that it is about."""
SUBJECT_LABEL: Final = "release"
"""The label by which an alert names one of many releases of a kind."""
NAME_MAXIMUM: Final = 200
TIMESTAMP_DIGITS: Final = 12

Text = Annotated[str, Meta(max_length=32_768)]
Name = Annotated[str, Meta(pattern=r"^[ -~]{1,200}$", description="1 to 200 characters of ASCII")]


class SentAlert(Struct, frozen=True, kw_only=True, rename="camel"):
    """One alert in a webhook notification by Alertmanager or Grafana."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str] | None = None
    starts_at: Name
    fingerprint: Name


class Notification(Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of a webhook notification by Alertmanager or Grafana."""

    group_key: Text
    alerts: tuple[SentAlert, ...] | None
    truncated_alerts: int | None = None
    """The number of alerts that the sender has left out, since the group was larger than its own limit."""


_decode = msgspec.json.Decoder(Notification).decode


class ReadAlerts(Struct, frozen=True, kw_only=True):
    """The alerts in a webhook notification, and the number of those that its sender has left out."""

    group: str
    alerts: tuple[Alert, ...]
    left_out: int


class SentBy(Struct, frozen=True, kw_only=True):
    """The headers by which the sender of a webhook request authenticates; None for an absent one."""

    authorization: str | None = None
    signature: str | None = None
    """The HMAC with SHA-256 of the timestamp, a colon and the body, in hexadecimal digits."""
    timestamp: str | None = None
    """The time of the signature, in seconds since 1970, as text."""


def check_bearer(sent: SentBy, settings: RollbackSettings) -> bool:
    """Returns True for a request with the right bearer token, False if its signature must be checked.

    Raises `Denied` where the settings have neither a token nor a key for alerts, and `Unauthenticated` for a
    wrong token, or for a request with neither a token nor a signature of a kind that the settings have.
    """
    if settings.alerts_token is None and settings.alerts_key is None:
        raise Denied("this gateway takes no alerts: set rollback.alerts_token or rollback.alerts_key")
    if sent.authorization is not None and settings.alerts_token is not None:
        expected = f"Bearer {settings.alerts_token.reveal()}".encode()
        if hmac.compare_digest(expected, sent.authorization.encode()):
            return True
        raise Unauthenticated("the token is not acceptable")
    if sent.signature is None or settings.alerts_key is None:
        raise Unauthenticated("send the token of rollback.alerts_token, or sign the alerts")
    return False


def check_signature(sent: SentBy, body: bytes, settings: RollbackSettings, *, now: float) -> None:
    """Checks the signature of a webhook request's body.

    Raises `Unauthenticated` if the body is not signed with the key, `Denied` for an old signature.
    """
    assert settings.alerts_key is not None
    timestamp = sent.timestamp or ""
    digest = hmac.new(settings.alerts_key.reveal().encode(), f"{timestamp}:".encode() + body, hashlib.sha256)
    if not hmac.compare_digest(digest.hexdigest().encode(), (sent.signature or "").encode()):
        raise Unauthenticated("the signature is not acceptable")
    digits = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= TIMESTAMP_DIGITS
    if not digits or abs(now - int(timestamp)) > settings.alerts_age_seconds:
        raise Denied("the timestamp of the signature is too far from now: it may be a copy")


def read_alerts(body: bytes, *, now: float) -> ReadAlerts:
    """Parses the alerts in a webhook request's body.

    Raises `Malformed` if the body is not JSON, `TooLarge` if it nests too deep, and `Invalid`, with a JSON
    pointer to each error, if a field is missing or wrong.
    """
    sent = _parse(body)
    group = _storable(sent.group_key)
    alerts = tuple(_alert(group, alert, now) for alert in sent.alerts or ())
    return ReadAlerts(group=group, alerts=alerts, left_out=max(0, sent.truncated_alerts or 0))


def _parse(body: bytes) -> Notification:
    try:
        return _decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        # The strict parser says everything that is wrong, and where; it checks the ignored fields too.
        return parse_json(body, Notification)


def _alert(group: str, sent: SentAlert, now: float) -> Alert:
    labels = {name: _storable(text) for name, text in (sent.labels or {}).items()}
    return Alert(
        group=group,
        fingerprint=sent.fingerprint,
        starts_at=sent.starts_at,
        name=labels.get("alertname", "")[:NAME_MAXIMUM],
        kind=labels.get(KIND_LABEL, "")[:NAME_MAXIMUM],
        subject=_subject(labels),
        resolved=sent.status == "resolved",
        received_at=now,
    )


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd")  # no database takes a NUL


def _subject(labels: Mapping[str, str]) -> str:
    name = labels.get(SUBJECT_LABEL, "")
    return name if len(name) <= NAME_MAXIMUM else ""  # cut off, it might be another's name
