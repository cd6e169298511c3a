"""Renders a service into Istio's resources: PeerAuthentication, RequestAuthentication, AuthorizationPolicy.

Each policy selects the service's pods alone, permits by naming what is permitted, and names issuers: Istio's
other ways to write the same let in more than they seem to (`hazards`).
"""

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from gateway.mesh.reading import ServiceCatalog
from gateway.mesh.service import OPTIONAL, Access, Service, TokenIssuer, issuers_of, ports_of

Resource: TypeAlias = dict[str, Any]

SECURITY: Final = "security.istio.io/v1"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "waypost"
SOURCE: Final = "waypost.dev/source"
"""The annotation with the file that a resource was rendered from."""


def render_all(catalog: ServiceCatalog) -> dict[str, list[Resource]]:
    """Renders every service of `catalog`; returns the resources by service, in order of names."""
    return {
        name: render(name, service, source=catalog.files[name])
        for name, service in sorted(catalog.services.items())
    }


def render(name: str, service: Service, *, source: str) -> list[Resource]:
    """Renders one service. `source` is the file that it is in."""
    issuers = [_jwt_rule(service, one) for one in service.issuers or ()]
    tokens = [_resource("RequestAuthentication", name, service, {"jwtRules": issuers}, source)]
    rules = [rule for access in service.allow for rule in _rules(service, access)]
    return [
        _resource("PeerAuthentication", name, service, {"mtls": {"mode": "STRICT"}}, source),
        *(tokens if issuers else ()),
        _resource("AuthorizationPolicy", name, service, {"action": "ALLOW", "rules": rules}, source),
    ]


def _resource(kind: str, name: str, service: Service, spec: Resource, source: str) -> Resource:
    return {
        "apiVersion": SECURITY,
        "kind": kind,
        "metadata": metadata(name, service.namespace, source),
        "spec": {"selector": {"matchLabels": dict(sorted(service.workload.items()))}, **spec},
    }


def metadata(name: str, namespace: str, source: str) -> Resource:
    """Returns the metadata of a rendered resource, by which it is found in a cluster."""
    return {
        "name": name,
        "namespace": namespace,
        "labels": {MANAGED_BY: MANAGER},
        "annotations": {SOURCE: source},
    }


def _jwt_rule(service: Service, issuer: TokenIssuer) -> Resource:
    keys = {"jwksUri": issuer.jwks_uri} if issuer.jwks_uri else {}
    forward = {"forwardOriginalToken": True} if service.forward_token else {}
    return {"issuer": issuer.issuer, "audiences": [*issuer.audiences], **keys, **forward}


def _rules(service: Service, access: Access) -> Iterator[Resource]:
    """Yields the rules that stand for `access`: one for each issuer, whose audiences are not another's."""
    principals = {"principals": [one.removeprefix("spiffe://") for one in access.workloads or ()]}
    source = principals if access.workloads else {}
    operation: Resource = {"ports": [str(port) for port in ports_of(service, access)]}
    operation |= {"methods": [*access.methods]} if access.methods else {}
    operation |= {"paths": [*access.paths]} if access.paths else {}
    to = [{"operation": operation}]
    if access.token == OPTIONAL:
        yield {"from": [{"source": source}], "to": to}
        return
    for issuer in issuers_of(service, access):
        audiences = [one for one in issuer.audiences if not access.audiences or one in access.audiences]
        if not audiences:
            continue
        # Istio takes what stands after the last slash for the subject: here any.
        caller = source | {"requestPrincipals": [f"{issuer.issuer}/*"]}
        when = [{"key": "request.auth.audiences", "values": audiences}]
        when += [{"key": "request.auth.claims[scope]", "values": [scope]} for scope in access.scopes or ()]
        if access.tenants:
            key = f"request.auth.claims[{service.tenant_claim}]"
            when.append({"key": key, "values": [*access.tenants]})
        yield {"from": [{"source": caller}], "to": to, "when": when}
