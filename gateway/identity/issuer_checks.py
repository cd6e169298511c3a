"""Checks the token issuers in the settings, and the files that they name, when the gateway starts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx

from gateway.identity.issuer_metadata import cause_of, key_source
from gateway.identity.key_parsing import InvalidKeySet, parse_key_set
from gateway.settings import Issuer
from waypost.tls import PkiError, roots_context

NOT_EMPTY: Final = {
    "audience": "it is what `aud` must name",
    "tenant_claim": "it is the claim that names the tenant",
    "algorithms": "no token could be verified",
    "keys": "leave it out to find the keys by the issuer's url",
    "ca": "leave it out to trust the public roots",
}
"""The issuer settings that must not be empty, with the reason. An unset variable makes an empty setting."""


class InvalidIssuer(Exception):
    """Raised for a token issuer that cannot be used; the text names the issuer, the setting and the file."""


def check_issuers(issuers: Sequence[Issuer]) -> None:
    """Checks the token issuers of the settings: a distinct URL, required fields, readable keys and CA files.

    Raises `InvalidIssuer` for the first issuer that fails.
    """
    # Of two with one URL the last would win without a word.
    if len({issuer.url for issuer in issuers}) < len(issuers):
        raise InvalidIssuer("two issuers have the same url")
    for issuer in issuers:
        if not issuer.url:
            raise InvalidIssuer("the url of an issuer is empty: it is the `iss` of its tokens")
        for name, why in NOT_EMPTY.items():
            if getattr(issuer, name) in ("", ()):
                raise InvalidIssuer(f"issuer {issuer.url}: its setting {name} is empty: {why}")
        _check_keys(issuer)
        _check_ca(issuer)


def _check_keys(issuer: Issuer) -> None:
    try:
        source = key_source(issuer.url if issuer.keys is None else issuer.keys)
    except InvalidKeySet as error:
        raise InvalidIssuer(f"issuer {issuer.url}: {error}") from error
    if isinstance(source, httpx.URL):
        return
    if issuer.keys is None:
        raise InvalidIssuer(f"issuer {issuer.url}: its url is no https address, so its keys must be named")
    # Without them the gateway would start and take no token, with a line in the log at the most.
    try:
        parse_key_set(Path(source).read_bytes(), issuer.algorithms)
    except (OSError, ValueError, InvalidKeySet) as error:
        reason = cause_of(error) if isinstance(error, OSError) else f"{issuer.keys!r}: {error}"
        raise InvalidIssuer(f"issuer {issuer.url}: its keys cannot be read: {reason}") from error


def _check_ca(issuer: Issuer) -> None:
    # Also where the keys are a file: the setting is wrong, and would be noticed years later.
    try:
        if issuer.ca is not None:
            roots_context(issuer.ca)
    except PkiError as error:
        raise InvalidIssuer(f"issuer {issuer.url}: its ca: {error}") from error
