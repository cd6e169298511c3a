"""Who is calling? From the headers of a request to a verified caller."""

from collections.abc import Sequence

from gateway.core.principal import Principal
from gateway.identity.interface import Authenticator, RequestCredentials

CARRIES_TOKEN = b"access_token="
"""How RFC 6750 names a token in a query. In a cookie or a query it leaks into logs and histories: refused, whatever it is."""


async def authenticate(
    headers: Sequence[tuple[bytes, bytes]],
    query: bytes,
    certificate_sha256: str | None,
    *,
    authenticator: Authenticator,
) -> Principal:
    """The caller that `headers` (lower-case names) prove, on a connection with this client certificate.

    Raises `Unauthenticated` (401), `Malformed` (400), `HeadersTooLarge` (431) or `Unavailable` (503).
    """
    authorization = tuple(value for name, value in headers if name == b"authorization")
    in_query_or_cookie = CARRIES_TOKEN in query or any(
        CARRIES_TOKEN in value for name, value in headers if name == b"cookie"
    )
    credentials = RequestCredentials(
        authorization=authorization,
        in_query_or_cookie=in_query_or_cookie,
        certificate_sha256=certificate_sha256,
    )
    return await authenticator.authenticate(credentials)
