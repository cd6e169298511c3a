"""The verified caller of a request. A value only."""

from msgspec import Struct


class Principal(Struct, frozen=True, kw_only=True):
    """A verified caller. Carries nothing of the token itself. `expires_at` is wall-clock seconds since 1970."""

    subject: str
    issuer: str
    tenant: str
    client: str = ""
    scopes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    expires_at: float = 0.0
