"""The verified caller of a request, as a value."""

from msgspec import Struct


class Principal(Struct, frozen=True, kw_only=True):
    """The caller of a request, as the claims of its verified token name it. The token itself is not kept."""

    subject: str
    issuer: str
    tenant: str
    client: str = ""
    scopes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    expires_at: float = 0.0
    """The token's expiry time, in wall-clock seconds since 1970."""
