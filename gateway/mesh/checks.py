"""Finds what the types of a service file cannot express: contradictions, and what would let in too many."""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Final

from gateway.mesh.service import OPTIONAL, Access, Service, issuers_of, ports_of
from waypost.json_pointer import FieldError, below

ROOT_NAMESPACE: Final = "istio-system"
"""Istio's root namespace, unless a mesh has another: what selects pods there selects them everywhere."""
OTHER_MEANING: Final = frozenset({"aud", "exp", "iat", "iss", "jti", "nbf", "permission", "scope", "sub"})
"""The claims that hold something else than a tenant; Istio splits two of them at spaces."""
TOKEN_FIELDS: Final = ("issuers", "audiences", "scopes", "tenants")
HTTP_FIELDS: Final = ("methods", "paths")


def check_service(service: Service) -> Iterator[FieldError]:
    """Yields the errors in one service, each with a pointer that begins at the service."""
    if service.namespace == ROOT_NAMESPACE:
        yield FieldError("/namespace", "is Istio's root namespace: there it would hold for the whole mesh")
    if service.tenant_claim in OTHER_MEANING:
        yield FieldError("/tenantClaim", f"{service.tenant_claim} holds something else than a tenant")
    yield from _check_ports(service)
    issuers = [one.issuer for one in service.issuers or ()]
    for index in _repeated(issuers):
        yield FieldError(below("/issuers", index, "issuer"), "is there twice")
    for index, one in enumerate(service.issuers or ()):
        if not one.jwks_uri and not one.issuer.startswith("https://"):
            detail = "is required: the issuer is no https:// URL at which its keys could be found"
            yield FieldError(below("/issuers", index, "jwksUri"), detail)
    for index in _repeated([one.name for one in service.allow]):
        yield FieldError(below("/allow", index, "name"), "is there twice")
    for index, access in enumerate(service.allow):
        for error in (*_check_token(service, access), *_check_protocol(service, access)):
            yield FieldError(below("/allow", index) + error.pointer, error.detail)


def _check_ports(service: Service) -> Iterator[FieldError]:
    ports = [*service.ports.http, *service.ports.tcp]
    if not ports:
        yield FieldError("/ports", "has no port: name those of the pods, as http or tcp")
    for port, count in Counter(ports).items():
        if count > 1:
            yield FieldError("/ports", f"{port} is there twice")


def _check_token(service: Service, access: Access) -> Iterator[FieldError]:
    if access.token == OPTIONAL:
        for field in TOKEN_FIELDS:
            if getattr(access, field):
                yield FieldError(f"/{field}", "needs a token, which `token: optional` does not")
        if not access.workloads:
            detail = "is required with `token: optional`: otherwise it would let in anybody"
            yield FieldError("/workloads", detail)
        return
    if not service.issuers:
        detail = "needs issuers of the service; where the workload is enough, say `token: optional`"
        yield FieldError("/token", detail)
        return
    known = {one.issuer: one.audiences for one in service.issuers}
    for index, issuer in enumerate(access.issuers or ()):
        if issuer not in known:
            yield FieldError(below("/issuers", index), "is not among the issuers of the service")
    taken = issuers_of(service, access)
    for index, audience in enumerate(access.audiences or ()):
        if taken and not any(audience in one.audiences for one in taken):
            yield FieldError(below("/audiences", index), "is not among the audiences of these issuers")


def _check_protocol(service: Service, access: Access) -> Iterator[FieldError]:
    known = {*service.ports.http, *service.ports.tcp}
    for index, port in enumerate(access.ports or ()):
        if port not in known:
            yield FieldError(below("/ports", index), f"{port} is not among the ports of the service")
    if tcp := sorted({*ports_of(service, access)}.intersection(service.ports.tcp)):
        wanted = [field for field in HTTP_FIELDS if getattr(access, field)]
        if access.token != OPTIONAL:
            wanted.append("token")
        for field in wanted:
            detail = f"is HTTP, and port {tcp[0]} is tcp: Istio would drop the whole rule there"
            yield FieldError(f"/{field}", detail)


def check_overlaps(services: Mapping[str, Service]) -> Iterator[tuple[str, FieldError]]:
    """Yields an error, with its service, for each service whose pods are all pods of another one too.

    Istio lets in by every policy that selects a pod: what one service permits would hold for the other.
    """
    for name, service in services.items():
        for other, outer in services.items():
            if name == other or service.namespace != outer.namespace:
                continue
            equal = service.workload == outer.workload
            if outer.workload.items() <= service.workload.items() and (not equal or other < name):
                detail = f"its pods are pods of {other} too, whose rules would let in to them"
                yield name, FieldError(below("", name, "workload"), detail)


def _repeated(values: Sequence[Hashable]) -> Iterator[int]:
    seen: set[Hashable] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield index
        seen.add(value)
