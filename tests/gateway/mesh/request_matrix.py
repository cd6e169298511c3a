"""Makes many requests to a service: what its file names, what is like it, and what is missing.

Two ways to decide them, the rule in `policies/services` and the rendered resources, must agree in each.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from msgspec import json

from gateway.mesh.request import Request
from gateway.mesh.service import Service

OTHER_WORKLOADS: Final = (None, "spiffe://cluster.local/ns/elsewhere/sa/other")
OTHER_ISSUER: Final = "https://elsewhere.invalid"


class Parts(NamedTuple):
    """What a service's requests may have: ports, methods, paths, workloads, claims of tokens (None: none)."""

    ports: list[int]
    methods: list[str]
    paths: list[str]
    workloads: list[str | None]
    claims: list[dict[str, Any] | None]


def requests_to(name: str, service: Service) -> Iterator[Request]:
    """Yields every combination of ports, methods, paths, workloads and tokens, on TCP ports without HTTP."""
    parts = parts_of(service)
    for port, method, path, workload, claims in itertools.product(*parts):
        yield Request(service=name, port=port, method=method, path=path, workload=workload, claims=claims)
    for port, workload in itertools.product(service.ports.tcp, parts.workloads):
        yield Request(service=name, port=port, workload=workload)


def parts_of(service: Service) -> Parts:
    """Returns the parts that requests on HTTP ports are put together from."""
    return Parts(
        _ports(service), _methods(service), _paths(service), _workloads(service), [None, *_tokens(service)]
    )


def sample(requests: Sequence[Request], most: int) -> Sequence[Request]:
    """Returns at most `most` of `requests`, spread evenly, and the same ones each time."""
    if len(requests) <= most:
        return requests
    return [requests[index * len(requests) // most] for index in range(most)]


def _ports(service: Service) -> list[int]:
    return [*service.ports.http, 1]


def _named(service: Service, field: str) -> list[str]:
    return list(dict.fromkeys(value for access in service.allow for value in getattr(access, field) or ()))


def _methods(service: Service) -> list[str]:
    return [*_named(service, "methods"), "get"]


def _paths(service: Service) -> list[str]:
    found = ["/", "/elsewhere"]
    for path in _named(service, "paths"):
        if path.endswith("/*"):
            found += [f"{path[:-1]}below", f"{path[:-1]}be/low?a=/b", path[:-2] or "/", f"{path[:-2]}-like"]
        else:
            found += [path, f"{path}?a=b", f"{path}#a", f"{path}x", f"{path}/below"]
    return list(dict.fromkeys(found))


def _workloads(service: Service) -> list[str | None]:
    return [*_named(service, "workloads"), *OTHER_WORKLOADS]


def _tokens(service: Service) -> list[dict[str, Any]]:
    """Returns claims: good ones for each issuer and way in, and such that differ from them in one thing."""
    tenants = [*_named(service, "tenants"), "elsewhere"]
    found: list[dict[str, Any]] = []
    for issuer in service.issuers or ():
        for access in service.allow:
            good: dict[str, Any] = {
                "iss": issuer.issuer,
                "sub": "somebody",
                "aud": list(issuer.audiences),
                "scope": " ".join(access.scopes or ()),
                service.tenant_claim: (access.tenants or tenants)[0],
            }
            found += [good, *_changed(good, access.scopes or (), service.tenant_claim, tenants)]
    found.append({"iss": OTHER_ISSUER, "sub": "somebody", "aud": [OTHER_ISSUER]})
    return list({json.encode(one): one for one in found}.values())


def _changed(
    good: dict[str, Any], scopes: Sequence[str], tenant_claim: str, tenants: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for audience in good["aud"]:
        for aud in (audience, f"https://{audience}/", [audience, 1], f"{audience}-like", [[audience]]):
            yield good | {"aud": aud}
    for aud in (None, "", [], "elsewhere"):
        yield good | {"aud": aud}
    for sub in (None, "", 1, "a\nb", "a/b"):
        yield good | {"sub": sub}
    for iss in (f"{good['iss']}/", good["iss"].upper(), 1, None):
        yield good | {"iss": iss}
    for missing in good:
        yield {name: value for name, value in good.items() if name != missing}
    joined = " ".join(scopes)
    for scope in (
        [*scopes, "more"],
        [joined],
        f"more  {joined} ",
        joined.replace(" ", "\t"),
        f"{joined}-like",
        f"like-{joined}",
        joined.upper(),
        [*scopes[1:]],
        1,
        dict.fromkeys(scopes, True),
    ):
        yield good | {"scope": scope}
    for tenant in (*tenants, tenants[:2], " ".join(tenants), [tenants], 1, f"{tenants[0]}-like", ""):
        yield good | {tenant_claim: tenant}
