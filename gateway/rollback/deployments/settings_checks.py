"""Checks the settings of external deployments at the gateway's start, so that a rollback does not fail later.

Performs no I/O.
"""

import re
from collections.abc import Iterator, Sequence
from string import Template
from typing import Final

import httpx

from gateway.core.loopback import is_loopback
from gateway.rollback_settings import ExternalDeployment

IN_QUERIES: Final = frozenset({"version", "window"})
IN_URL: Final = frozenset({"name", "version", "previous", "rollback"})
IN_REQUEST: Final = IN_URL | {"token"}
HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,100}")


def mistakes(deployments: Sequence[ExternalDeployment]) -> Iterator[str]:
    """Yields a sentence about each mistake in the settings of external deployments."""
    names = [one.name for one in deployments]
    for deployment in deployments:
        at = f"rollback.deployments, {deployment.name}:"
        if names.count(deployment.name) > 1:
            yield f"{at} the name is given twice"
        yield from (f"{at} {why}" for why in _in_queries(deployment))
        yield from (f"{at} {why}" for why in _in_request(deployment))


def _in_queries(deployment: ExternalDeployment) -> Iterator[str]:
    for field, text in (("total", deployment.total), ("bad", deployment.bad)):
        if not _valid(text) or set(Template(text).get_identifiers()) != IN_QUERIES:
            yield f"{field} must have $version and $window, and no other $ (a $ itself is $$)"


def _in_request(deployment: ExternalDeployment) -> Iterator[str]:
    templates = {"url": (deployment.url, IN_URL), "body": (deployment.body, IN_REQUEST)}
    templates |= {f"the header {name}": (text, IN_REQUEST) for name, text in deployment.headers.items()}
    for field, (text, known) in templates.items():
        if not _valid(text) or not known.issuperset(Template(text).get_identifiers()):
            yield f"{field} may have ${', $'.join(sorted(known))}, and no other $ (a $ itself is $$)"
    for name, text in (*deployment.headers.items(), (deployment.signature_header, "")):
        if not HEADER.fullmatch(name) or not (text.isascii() and text.isprintable()):
            yield f"the header {name} is none that can be sent"
    if "$token" in f"{deployment.body}{deployment.headers}" and deployment.token is None:
        yield "$token is used, and token is not set"
    try:
        url = httpx.URL(deployment.url)
    except httpx.InvalidURL:
        yield "url is no address"
        return
    if "$" in url.host or url.userinfo or not url.host:
        yield "url must have a host without $, and neither a user nor a password"
    elif url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.host)):
        yield "url must be https, or http on this machine"


def _valid(text: str) -> bool:
    # `is_valid` of an empty template is true as well.
    return Template(text).is_valid()
