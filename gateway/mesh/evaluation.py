"""Decides a request by Istio's resources, as its proxies do: mutual TLS, then tokens, then policies in order.

It reads what is rendered here, and more: it shows what a resource of somebody else would do. A field that it
does not know raises `UnknownField`: nothing is passed over.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from gateway.mesh.checks import ROOT_NAMESPACE
from gateway.mesh.matching import audience_is_permitted
from gateway.mesh.policy_rules import Attributes, UnknownField, rule_matches
from gateway.mesh.rendering import Resource
from gateway.mesh.request import Request, Verdict
from gateway.mesh.service import Service

KNOWN_TOKEN_FIELDS: Final = frozenset({"issuer", "audiences", "jwksUri", "jwks", "forwardOriginalToken"})


class Pods(Struct, frozen=True, kw_only=True):
    """The pods that a request goes to: resources select them by their namespace and labels."""

    namespace: str
    labels: dict[str, str]
    tcp_ports: frozenset[int] = frozenset()

    def are_selected_by(self, resource: Resource) -> bool:
        """Returns whether `resource` applies to these pods: its namespace and labels fit."""
        if resource["metadata"].get("namespace") not in (self.namespace, ROOT_NAMESPACE):
            return False
        return all(self.labels.get(name) == value for name, value in labels_of(resource).items())


def pods_of(service: Service) -> Pods:
    """Returns the pods of `service`."""
    return Pods(namespace=service.namespace, labels=service.workload, tcp_ports=frozenset(service.ports.tcp))


def evaluate(resources: Sequence[Resource], pods: Pods, request: Request) -> Verdict:
    """Decides `request` to `pods` by those of `resources` that select them.

    Raises `UnknownField` for what is not evaluated here, such as a policy with the action CUSTOM.
    """
    selecting = [one for one in resources if pods.are_selected_by(one)]
    if mode_of(selecting, request.port) == "STRICT" and request.workload is None:
        return Verdict(allow=False, by="PeerAuthentication: mutual TLS is strict")
    is_tcp = request.port in pods.tcp_ports
    claims = None if is_tcp else request.claims
    rules = [rule for one in of_kind(selecting, "RequestAuthentication") for rule in _list(one, "jwtRules")]
    if rules and claims is not None and not any(_takes(rule, claims) for rule in rules):
        return Verdict(allow=False, by="RequestAuthentication: the token is refused")
    # Without rules nobody has looked at the token, and policies see none.
    seen = Attributes.of(request, claims if rules else None, is_tcp=is_tcp)
    return _decide(list(of_kind(selecting, "AuthorizationPolicy")), seen)


def of_kind(resources: Sequence[Resource], kind: str) -> Iterator[Resource]:
    """Yields those of `resources` that are of `kind`."""
    return (one for one in resources if one["kind"] == kind)


def labels_of(resource: Resource) -> dict[str, str]:
    """Returns the labels by which `resource` selects pods; none where it selects its whole namespace."""
    selector = (resource.get("spec") or {}).get("selector") or {}
    return selector.get("matchLabels") or {}


def mode_of(resources: Sequence[Resource], port: int | None = None) -> str:
    """Returns the mode of mutual TLS: that of the narrowest PeerAuthentication; without any, PERMISSIVE."""
    mode = "PERMISSIVE"
    for one in sorted(of_kind(resources, "PeerAuthentication"), key=_narrowness):
        spec = one.get("spec") or {}
        for mtls in (spec.get("mtls"), (spec.get("portLevelMtls") or {}).get(str(port))):
            set_mode = (mtls or {}).get("mode", "UNSET")
            mode = mode if set_mode == "UNSET" else set_mode
    return mode


def _narrowness(resource: Resource) -> tuple[bool, bool]:
    return bool(labels_of(resource)), resource["metadata"].get("namespace") != ROOT_NAMESPACE


def _list(resource: Resource, field: str) -> list[Any]:
    return list((resource.get("spec") or {}).get(field) or ())


def _takes(rule: Resource, claims: Mapping[str, Any]) -> bool:
    """Returns whether a rule of a RequestAuthentication takes a verified token with `claims`."""
    if unknown := rule.keys() - KNOWN_TOKEN_FIELDS:
        raise UnknownField(f"RequestAuthentication: jwtRules: {min(unknown)}")
    named = [claims[claim] for claim in ("iss", "sub") if claim in claims]
    if not all(isinstance(value, str) for value in named) or claims.get("iss") != rule["issuer"]:
        return False
    return audience_is_permitted(claims.get("aud"), rule.get("audiences") or ())


def _decide(policies: Sequence[Resource], seen: Attributes) -> Verdict:
    """Decides by AuthorizationPolicies, in Istio's order: what denies, then what allows; without one, yes."""
    by_action: dict[str, list[Resource]] = {}
    for one in policies:
        by_action.setdefault((one.get("spec") or {}).get("action", "ALLOW"), []).append(one)
    if unknown := by_action.keys() - {"ALLOW", "DENY", "AUDIT"}:
        raise UnknownField(f"AuthorizationPolicy: action {min(unknown)}")
    for one in by_action.get("DENY", ()):
        if (index := _first_match(one, seen, denies=True)) is not None:
            return Verdict(allow=False, by=f"{_name(one)}: rule {index} denies")
    for one in by_action.get("ALLOW", ()):
        if (index := _first_match(one, seen, denies=False)) is not None:
            return Verdict(allow=True, by=f"{_name(one)}: rule {index}")
    if by_action.get("ALLOW"):
        return Verdict(allow=False, by="AuthorizationPolicy: no rule allows it")
    return Verdict(allow=True, by="no AuthorizationPolicy allows anything, so all is allowed")


def _name(policy: Resource) -> str:
    return f"AuthorizationPolicy {policy['metadata']['name']}"


def _first_match(policy: Resource, seen: Attributes, *, denies: bool) -> int | None:
    matching = (
        index
        for index, rule in enumerate(_list(policy, "rules"))
        if rule_matches(rule or {}, seen, denies=denies)
    )
    return next(matching, None)
