"""Who is calling?"""

from typing import Protocol, Self

from msgspec import Struct

from gateway.core.principal import Principal


class RequestCredentials(Struct, frozen=True, kw_only=True):
    """What a request carries to prove who sent it. `authorization`: every header of that name, undecoded.

    `certificate_sha256` is the base64url SHA-256 of the client certificate's DER where mutual TLS gave one (RFC 8705).
    """

    authorization: tuple[bytes, ...]
    in_query_or_cookie: bool = False
    """A token also came by query or cookie: refused as 400, whatever it is."""
    certificate_sha256: str | None = None


class Authenticator(Protocol):
    """Raises `Unauthenticated` (401), `Malformed` (400), `HeadersTooLarge` (431) or `Unavailable` (503: key set out of reach)."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def authenticate(self, credentials: RequestCredentials) -> Principal: ...
