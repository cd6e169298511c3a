"""Builds the messages to webhooks and signs them, as Standard Webhooks (standardwebhooks.com) says. Pure."""

import base64
import hashlib
import hmac
from binascii import Error as Base64Error
from typing import Final

import msgspec

from gateway.core.run import Notification, Run

PREFIX: Final = "whsec_"


def message_body(notification: Notification, run: Run) -> bytes:
    """Returns the JSON of a message: which run ended, how and when; no params, no outputs."""
    return msgspec.json.encode(
        {
            "type": "run.ended",
            "timestamp": notification.at,
            "data": {
                "run": run.id,
                "name": run.name,
                "tenant": run.tenant,
                "phase": notification.phase,
                "labels": run.labels,
                "released": run.released,
            },
        }
    )


def signed_headers(identity: str, body: bytes, *, key: str, now: float) -> dict[str, str]:
    """Returns the headers of a message: id, time of this try, and the signature of both and the body."""
    timestamp = str(int(now))
    digest = hmac.new(_key(key), f"{identity}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "webhook-id": identity,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _key(text: str) -> bytes:
    if text.startswith(PREFIX):
        try:
            return base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except Base64Error:
            pass
    return text.encode()
