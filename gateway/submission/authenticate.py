"""Authenticates a request: from its headers to a verified caller."""

from collections.abc import Sequence
from typing import Final

from gateway.core.principal import Principal
from gateway.identity.interface import Authenticator, RequestCredentials

TOKEN_PARAMETER: Final = b"access_token="
"""The start of an access token in a query string or cookie, as RFC 6750 names it.

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
    """Authenticates the caller by `headers` (lower-case names), and returns their principal.

    `certificate_sha256` is the thumbprint of the connection's client certificate, None without one, `address`
    that of the client, `sheds` whether the request may be refused for too many from there. Raises what the
    authenticator raises.
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
