"""Makes the HTTP request that rolls an external deployment back: fills in its templates, and signs it.

Templates are Python's `string.Template`: `$name` is replaced, nothing is evaluated. Performs no I/O.
"""

import hashlib
import hmac
from collections.abc import Mapping
from string import Template
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from gateway.core.rollback import Rollback
from gateway.rollback.deployments.versions import version_of
from gateway.rollback_settings import ExternalDeployment

TIMESTAMP: Final = "X-Waypost-Timestamp"
IDEMPOTENCY: Final = "Idempotency-Key"


class RollbackRequest(Struct, frozen=True, kw_only=True):
    """The HTTP request that rolls an external deployment back, as it is sent."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<RollbackRequest {self.method}>"  # the other fields may have a secret


def rollback_request(
    deployment: ExternalDeployment, rollback: Rollback, *, token: str, key: str | None, now: float
) -> RollbackRequest:
    """Fills in the templates of a deployment's request for a rollback; signs it where there is a `key`.

    The signature is the HMAC with SHA-256 of the timestamp, a colon and the body, in hexadecimal digits after
    `sha256=`. The same rollback always has the same idempotency key.
    """
    known = {
        "name": deployment.name,
        "version": version_of(rollback.release),
        "previous": version_of(rollback.returns_to),
        "rollback": idempotency_key(rollback),
    }
    # In the URL nothing but the path has placeholders, and a version may have a +.
    url = Template(deployment.url).substitute({name: quote(text, safe="") for name, text in known.items()})
    secret = {**known, "token": token}
    body = Template(deployment.body).substitute(secret).encode()
    headers = {
        IDEMPOTENCY: idempotency_key(rollback),
        **{name: Template(text).substitute(secret) for name, text in deployment.headers.items()},
    }
    if key is not None:
        headers |= signature(deployment.signature_header, body, key=key, now=now)
    return RollbackRequest(method=deployment.method, url=url, headers=headers, body=body)


def signature(header: str, body: bytes, *, key: str, now: float) -> Mapping[str, str]:
    """Returns the two headers of a signed request, the timestamp and the signature (named `header`)."""
    timestamp = str(int(now))
    digest = hmac.new(key.encode(), f"{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {TIMESTAMP: timestamp, header: f"sha256={digest}"}


def idempotency_key(rollback: Rollback) -> str:
    """Returns the key by which a receiver recognizes that a request is about the same rollback again."""
    # A store that was made new counts from 1 again.
    identity = f"{rollback.id}:{rollback.release}:{rollback.began_at}"
    return f"waypost-{rollback.id}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
