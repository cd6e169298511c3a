"""Compares values as Istio and Envoy do: wildcards, principals, claims and audiences."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

SPLIT_AT_SPACES: Final = frozenset({"scope", "permission"})
"""The claims whose text is a list for Istio, with spaces between its values."""


def text_matches(pattern: str, text: str) -> bool:
    """Returns whether `text` is `pattern`, or begins or ends like it where a `*` is at the other end.

    `*` alone is any text that is not empty.
    """
    if pattern == "*":
        return text != "" and "\n" not in text
    if pattern.startswith("*"):
        return text.endswith(pattern[1:])
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text == pattern


def path_of(target: str) -> str:
    """Returns the path of a request's target, without query and fragment."""
    return target.partition("?")[0].partition("#")[0]


def principal_matches(pattern: str, principal: str) -> bool:
    """Returns whether a SPIFFE id without its scheme matches; without mutual TLS it is empty."""
    return principal != "" and text_matches(pattern, principal)


def subject_matches(pattern: str, claims: Mapping[str, Any]) -> bool:
    """Returns whether issuer and subject match `ISSUER/SUBJECT`, which Istio splits at the LAST slash."""
    issuer, subject = claims.get("iss"), claims.get("sub")
    if not isinstance(issuer, str) or not isinstance(subject, str):
        return False
    if pattern == "*":
        return text_matches("*", issuer) and text_matches("*", subject)
    first, slash, last = pattern.rpartition("/")
    if not slash:
        # Without a slash all is the issuer, but that a `*` before it leaves the issuer open.
        if pattern.startswith("*"):
            return issuer != "" and subject.endswith(pattern[1:])
        if pattern.endswith("*"):
            return issuer.startswith(pattern[:-1]) and subject != ""
        return issuer == pattern and subject == ""
    if pattern.startswith("*"):
        return text_matches(first, issuer) and subject == last
    if pattern.endswith("*"):
        return issuer == first and text_matches(last, subject)
    return issuer == first and subject == last


def claim_matches(pattern: str, claims: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Returns whether the claim at `path` is a text that matches, or a list with such a text."""
    value: Any = claims
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return False
        value = value[name]
    if isinstance(value, str) and len(path) == 1 and path[0] in SPLIT_AT_SPACES:
        value = [part for part in value.split(" ") if part]
    if isinstance(value, list):
        return any(isinstance(one, str) and text_matches(pattern, one) for one in value)
    return isinstance(value, str) and text_matches(pattern, value)


def audience_is_permitted(audience: Any, permitted: Collection[str]) -> bool:
    """Returns whether Envoy takes a token with the claim `aud`: where none are `permitted`, any.

    It compares audiences without their scheme and a slash at the end.
    """
    audiences = [audience] if isinstance(audience, str) else audience if audience is not None else []
    if not isinstance(audiences, list) or not all(isinstance(one, str) for one in audiences):
        return False
    bare = {bare_audience(one) for one in permitted}
    return not bare or any(bare_audience(one) in bare for one in audiences)


def bare_audience(audience: str) -> str:
    """Returns an audience without `https://` or `http://` before it and a slash at its end."""
    for scheme in ("https://", "http://"):
        if audience.startswith(scheme):
            audience = audience.removeprefix(scheme)
            break
    return audience.removesuffix("/")
