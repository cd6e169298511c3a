"""Pagination of the API's lists: page cursors, and the tenants whose entries a list may show."""

import base64
from typing import Final

from gateway.core.decision import Decision
from gateway.core.errors import Malformed

CURSOR_VERSION: Final = "1"
"""The version of the cursor format, which is the first character of every page cursor."""


def visible_tenants(decision: Decision, own: str, asked: str | None) -> tuple[str, ...] | None:
    """Returns the tenants whose entries a list may show; None: every tenant's.

    `asked` is the only tenant that the caller wants to see (None: no choice); if policy does not permit it,
    the result is empty. Where policy names no tenants, only the caller's own tenant, `own`, is permitted.
    """
    permitted = decision.obligations.tenants if decision.obligations.tenants is not None else (own,)
    if "*" in permitted:
        return None if asked is None else (asked,)
    return permitted if asked is None else tuple(tenant for tenant in permitted if tenant == asked)


def encode_cursor(last_id: str) -> str:
    """Encodes the id of a page's last entry as the cursor with which clients ask for the next page.

    It is opaque, so that no client relies on its form.
    """
    return base64.urlsafe_b64encode(f"{CURSOR_VERSION}{last_id}".encode()).decode().rstrip("=")


def decode_cursor(text: str | None) -> str | None:
    """Decodes a page cursor to an entry's id; None without a cursor. Raises `Malformed` if it is invalid."""
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
