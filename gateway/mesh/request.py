"""A request to a service of the mesh, as a proxy sees it; what is decided about it."""

from typing import Any, Final

from msgspec import Struct

SERVICES_RULE: Final = "data.waypost.services.decision"
"""The rule in `policies/services` that decides a request, by the services in `data.services`."""


class Request(Struct, frozen=True, kw_only=True):
    """A request to a service: to which port, by which workload, with which token.

    `method` and `path` are None on a TCP port. `workload` is the caller's SPIFFE id; None without mutual TLS.
    `claims` are those of a token whose signature and times have been verified; None without a token.
    """

    service: str
    port: int
    method: str | None = None
    path: str | None = None
    workload: str | None = None
    claims: dict[str, Any] | None = None


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether a request is let in, and by what; of a refusal `by` says what refused it."""

    allow: bool
    by: str
