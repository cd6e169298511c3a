"""The interface of authentication: a request's credentials, and the protocol that verifies them."""

from typing import Protocol, Self

from msgspec import Struct

from gateway.core.principal import Principal


class RequestCredentials(Struct, frozen=True, kw_only=True):
    """The credentials of a request: `Authorization` headers, client certificate and IP address.

    `address` is where the request comes from, empty where that is unknown. `certificate_sha256` is the
    base64url SHA-256 of the client certificate in DER, where mutual TLS gave one (RFC 8705).
    """

    authorization: tuple[bytes, ...]
    in_query_or_cookie: bool = False
    """Whether the query string or a cookie holds a token: such a request is refused with 400.

    It is refused even if the token is valid.
    """
    certificate_sha256: str | None = None
    address: str = ""
    sheds: bool = True
    """Whether the request may be refused if too many come from its address."""


class Authenticator(Protocol):
    """The interface of an authenticator: verifies a request's credentials and returns the caller.

    `authenticate` returns the caller. It raises `Unauthenticated` (401: no acceptable token), `Malformed`
    (400: several tokens, or one in the wrong place), `HeadersTooLarge` (431), `TooManyRequests` (429: too
    many requests without an acceptable token come from the address) or `Unavailable` (503: the issuer's keys
    cannot be read).
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def authenticate(self, credentials: RequestCredentials) -> Principal: ...
