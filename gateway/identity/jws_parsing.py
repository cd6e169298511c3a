"""Parses a token (JWS compact serialization, RFC 7515) strictly, before PyJWT sees it.

Refuses what two readers could understand differently. PyJWT is lenient where RFC 7515 leaves room: padding,
doubled names, odd encodings, numbers without end. Nothing is decoded before its size is checked.
"""

import base64
import binascii
import json
import math
import re
from typing import Any, Final, NoReturn

from waypost.distinct_names import DoubledName, distinct

MAXIMUM_HEADER_BYTES: Final = 8 * 1024
MAXIMUM_TOKEN_BYTES: Final = 16 * 1024
MAXIMUM_NESTING: Final = 16
MAXIMUM_DIGITS: Final = 18
BASE64URL: Final = re.compile(rb"[A-Za-z0-9_-]+")
FORBIDDEN_PARAMETERS: Final = frozenset({"jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "zip", "crit", "b64"})
"""Header parameters that carry keys, name where to fetch them, or change what the bytes mean.

An issuer's keys come from its configured key set alone; compression and unencoded payloads are not supported.
"""

PLAIN_ADVICE: Final = ' (see profile = "plain")'
"""What the log says of a token whose `typ` is not that of an access token."""


class TokenRejected(Exception):
    """A token is not acceptable. The text is a reason for the log, such as `kid.unknown` or `claims.exp`.

    It is not for the caller, and contains nothing of the token.
    """


class HeaderTooLarge(Exception):
    """The first segment of a token is longer than `MAXIMUM_HEADER_BYTES`."""


def parse_jws(token: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parses a token into header and claims, not yet verified. Raises `TokenRejected` or `HeaderTooLarge`."""
    header, claims, _ = decode_segments(token)
    return _json_object(header, "header"), _json_object(claims, "claims")


def decode_segments(token: bytes) -> tuple[bytes, bytes, bytes]:
    """Decodes a token into header, payload and signature. Raises `TokenRejected` or `HeaderTooLarge`."""
    # Sizes come first: nothing is decoded that is larger than any issuer would sign.
    if b"." not in token[: MAXIMUM_HEADER_BYTES + 1] and len(token) > MAXIMUM_HEADER_BYTES:
        raise HeaderTooLarge
    if len(token) > MAXIMUM_TOKEN_BYTES:
        raise TokenRejected("token.size")
    # Three segments: five are an encrypted token (JWE), which none of our issuers makes. No padding, as RFC
    # 7515 says.
    parts = token.split(b".")
    if len(parts) != 3 or not all(BASE64URL.fullmatch(part) for part in parts):
        raise TokenRejected("token.form")
    return _decode_base64url(parts[0]), _decode_base64url(parts[1]), _decode_base64url(parts[2])


def check_header(header: dict[str, Any], types: frozenset[str]) -> tuple[str, str]:
    """Checks the header and returns the algorithm and the key id (`alg`, `kid`). Raises `TokenRejected`.

    `types` are the values that `typ` may have, in lower case; an empty string permits that it is missing.
    """
    if found := FORBIDDEN_PARAMETERS & header.keys():
        raise TokenRejected(f"header.{min(found)}")
    algorithm, kid, typ = header.get("alg"), header.get("kid"), header.get("typ", "")
    if not isinstance(algorithm, str):
        raise TokenRejected("header.alg")
    if not isinstance(kid, str) or not 0 < len(kid) <= 256 or not kid.isprintable():
        raise TokenRejected("header.kid")
    # RFC 7515, 4.1.9: media types are compared without case, and "application/" may be left out.
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in types:
        # The commonest mistake with a new issuer: only the log may say what to do about it.
        advice = PLAIN_ADVICE if "jwt" not in types else ""
        raise TokenRejected(f"header.typ{advice}")
    return algorithm, kid


def _decode_base64url(segment: bytes) -> bytes:
    try:
        found = base64.b64decode(segment + b"=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise TokenRejected("token.base64") from None
    # The last character may have spare bits. If they are not zero, this is a second spelling of the same
    # token.
    if base64.urlsafe_b64encode(found).rstrip(b"=") != segment:
        raise TokenRejected("token.base64")
    return found


def _json_object(text: bytes, part: str) -> dict[str, Any]:
    def refuse(_: str) -> NoReturn:
        raise TokenRejected(f"{part}.number")

    def integer(digits: str) -> int:
        return int(digits) if len(digits) <= MAXIMUM_DIGITS else refuse(digits)

    def fraction(digits: str) -> float:
        value = float(digits)
        return value if math.isfinite(value) else refuse(digits)

    # A rough bound before decoding, because `json.loads` recurses; flat claims may have many brackets.
    if text.count(b"{") + text.count(b"[") > MAXIMUM_NESTING * 4:
        raise TokenRejected(f"{part}.nesting")
    try:
        decoded = json.loads(
            text.decode("utf-8"),
            parse_constant=refuse,
            parse_int=integer,
            parse_float=fraction,
            object_pairs_hook=distinct,
        )
        json.dumps(
            decoded, ensure_ascii=False
        ).encode()  # refuses lone surrogates, which no UTF-8 text can hold
    except DoubledName:
        raise TokenRejected(f"{part}.duplicate") from None  # readers differ about which of the two counts
    except (ValueError, RecursionError):  # not JSON, a byte order mark, a lone surrogate
        raise TokenRejected(f"{part}.json") from None
    if not isinstance(decoded, dict):
        raise TokenRejected(f"{part}.json")
    return decoded
