"""Pagination of lists: encodes and decodes cursors, and determines the tenants that a list may show."""

import base64
from typing import Final

from gateway.core.decision import Decision
from gateway.core.errors import Malformed

CURSOR_VERSION: Final = "1"
"""The version of the cursor format, which is the first character of every page cursor."""


def visible_tenants(decision: Decision, own: str, asked: str | None) -> tuple[str, ...] | None:
    """Returns the tenants whose runs are listed: None for all, empty if the requested one is not permitted.

    Where policy names no tenants, the caller's `own` alone is permitted.
    """
    permitted = decision.obligations.tenants if decision.obligations.tenants is not None else (own,)
    if "*" in permitted:
        return None if asked is None else (asked,)
    return permitted if asked is None else tuple(tenant for tenant in permitted if tenant == asked)


def encode_cursor(last_id: str) -> str:
    """Returns the cursor of the page after the entry `last_id`.

    Opaque to clients: encoded, so that nobody builds on its form.
    """
    return base64.urlsafe_b64encode(f"{CURSOR_VERSION}{last_id}".encode()).decode().rstrip("=")


def decode_cursor(text: str | None) -> str | None:
    """Decodes a page cursor to its id; None without a cursor. Raises `Malformed` for an invalid one."""
    if text is None:
        return None
    try:
        padded = text + "=" * (-len(text) % 4)
        cursor = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except ValueError as error:
        raise Malformed("the query parameter continue is not one that this gateway gave") from error
    if not cursor.startswith(CURSOR_VERSION):
        raise Malformed("the query parameter continue is not one that this gateway gave")
    return cursor[1:]
