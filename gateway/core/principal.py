"""`Principal`: the authenticated caller of a request."""

from msgspec import Struct


class Principal(Struct, frozen=True, kw_only=True):
    """The authenticated caller of a request, from the claims of its verified token. Holds no token."""

    subject: str
    issuer: str
    tenant: str
    client: str = ""
    scopes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    expires_at: float = 0.0
    """The token's expiry time, in wall-clock seconds since 1970."""
