"""Parses a token (JWS compact serialization, RFC 7515) strictly, before PyJWT verifies its signature.

Refuses what two readers could understand differently. PyJWT is lenient where RFC 7515 leaves room: it accepts
padding, doubled names, odd encodings, and numbers of any length. Nothing is decoded before its size is
checked.
"""

from typing import Any, Final

from gateway.identity.strict_decoding import NotStrict, decode_base64url, decode_object, is_key_id

MAXIMUM_HEADER_BYTES: Final = 8 * 1024
MAXIMUM_TOKEN_BYTES: Final = 16 * 1024
MAXIMUM_BRACKETS: Final = 64
FORBIDDEN_PARAMETERS: Final = frozenset({"jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "zip", "crit", "b64"})
"""The forbidden header parameters: they carry keys, say where to fetch keys, or change the bytes' meaning.

An issuer's keys come from its configured key set alone; compression and unencoded payloads are not supported.
"""

PLAIN_ADVICE: Final = ' (see profile = "plain")'
"""The advice in the log for a token whose header `typ` is not that of an access token."""


class TokenRejected(Exception):
    """Raised for a token that is refused. The text is the reason, for the log: `kid.unknown`, `claims.exp`.

    The text is not for the caller, and contains nothing of the token.
    """


class HeaderTooLarge(Exception):
    """Raised for a token whose first segment is longer than `MAXIMUM_HEADER_BYTES`."""


def parse_jws(token: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parses a token into its header and its claims, two JSON objects, neither verified yet.

    Raises `HeaderTooLarge` or `TokenRejected` for a token that is too large or not strictly well-formed.
    """
    header, claims, _ = decode_segments(token)
    return _json_object(header, "header"), _json_object(claims, "claims")


def decode_segments(token: bytes) -> tuple[bytes, bytes, bytes]:
    """Splits a token into the decoded bytes of its header, payload and signature.

    Raises `HeaderTooLarge`, or `TokenRejected` for a token that is too large, or not three segments of
    base64url.
    """
    # Sizes come first: nothing is decoded that is larger than any issuer would sign.
    if b"." not in token[: MAXIMUM_HEADER_BYTES + 1] and len(token) > MAXIMUM_HEADER_BYTES:
        raise HeaderTooLarge
    if len(token) > MAXIMUM_TOKEN_BYTES:
        raise TokenRejected("token.size")
    # Three segments: five are an encrypted token (JWE), which none of our issuers makes. No padding, as RFC
    # 7515 says.
    parts = token.split(b".")
    if len(parts) != 3 or not all(parts):
        raise TokenRejected("token.form")
    try:
        return decode_base64url(parts[0]), decode_base64url(parts[1]), decode_base64url(parts[2])
    except NotStrict as error:
        raise TokenRejected(f"token.{error}") from None


def check_header(header: dict[str, Any], types: frozenset[str]) -> tuple[str, str]:
    """Checks the header of a token; returns its algorithm and key id (`alg`, `kid`). Raises `TokenRejected`.

    `types` are the values that `typ` may have, in lower case; an empty string permits that `typ` is missing.
    """
    if found := FORBIDDEN_PARAMETERS & header.keys():
        raise TokenRejected(f"header.{min(found)}")
    algorithm, kid, typ = header.get("alg"), header.get("kid"), header.get("typ", "")
    if not isinstance(algorithm, str):
        raise TokenRejected("header.alg")
    if not is_key_id(kid):
        raise TokenRejected("header.kid")
    # RFC 7515, 4.1.9: media types are compared without case, and "application/" may be left out.
    bare = typ.lower().removeprefix("application/") if isinstance(typ, str) else None
    if bare not in types or (bare == "" and "typ" in header):
        # The commonest mistake with a new issuer: only the log may say what to do about it.
        advice = PLAIN_ADVICE if "jwt" not in types else ""
        raise TokenRejected(f"header.typ{advice}")
    return algorithm, kid


def _json_object(text: bytes, part: str) -> dict[str, Any]:
    try:
        return decode_object(text, maximum_brackets=MAXIMUM_BRACKETS)
    except NotStrict as error:
        raise TokenRejected(f"{part}.{error}") from None
