"""Authenticates a request: verifies the token in its headers, and returns the caller."""

from collections.abc import Sequence
from typing import Final

from gateway.core.principal import Principal
from gateway.identity.interface import Authenticator, RequestCredentials

TOKEN_PARAMETER: Final = b"access_token="
"""The beginning of an access token in a query string or cookie, as RFC 6750 names the parameter.

In a query or a cookie a token leaks into logs and browser histories.
"""


async def authenticate(
    headers: Sequence[tuple[bytes, bytes]],
    query: bytes,
    certificate_sha256: str | None,
    *,
    address: str,
    sheds: bool = True,
    authenticator: Authenticator,
) -> Principal:
    """Authenticates the caller of a request by its `headers` (lower-case names); returns their principal.

    `certificate_sha256` is the thumbprint of the connection's client certificate, None without one; `address`
    is the client's; `sheds` says whether the request may be refused if too many come from that address.
    Raises `Unauthenticated` for no acceptable token, `Malformed` for several or one in the query or a cookie,
    `HeadersTooLarge`, `TooManyRequests`, or `Unavailable` if the issuer's keys cannot be read.
    """
    in_query_or_cookie = TOKEN_PARAMETER in query or any(
        TOKEN_PARAMETER in value for name, value in headers if name == b"cookie"
    )
    credentials = RequestCredentials(
        authorization=tuple(value for name, value in headers if name == b"authorization"),
        in_query_or_cookie=in_query_or_cookie,
        certificate_sha256=certificate_sha256,
        address=address,
        sheds=sheds,
    )
    return await authenticator.authenticate(credentials)
