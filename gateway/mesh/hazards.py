"""Finds in Istio's resources what does something else than it seems to: it lets in too many, or nobody.

A Kubernetes API server takes each of these, and Istio nearly all. What is rendered here has none of them.
"""

from collections.abc import Iterator, Sequence, Set
from typing import Final

from msgspec import Struct

from gateway.mesh.checks import ROOT_NAMESPACE
from gateway.mesh.drift import name_of
from gateway.mesh.evaluation import labels_of, of_kind
from gateway.mesh.rendering import Resource
from gateway.mesh.rule_hazards import RuleHazard, issuers_named, names_workloads, rule_hazards
from waypost.json_pointer import below

KINDS: Final = ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication")
TCP_NAMES: Final = ("tcp", "tls", "mongo", "mysql", "redis", "udp")
"""The beginnings of names and `appProtocol` by which Istio knows that a port is not HTTP."""


class Hazard(Struct, frozen=True, order=True, kw_only=True):
    """A hazard of one resource: where, which one, and what Istio does."""

    resource: str
    pointer: str
    hazard: str
    detail: str

    def __str__(self) -> str:
        return f"{self.resource}: {self.pointer}: {self.hazard}: {self.detail}"


def find_hazards(
    resources: Sequence[Resource], *, tcp_ports: Set[int] = frozenset(), root_namespace: str = ROOT_NAMESPACE
) -> list[Hazard]:
    """Returns the hazards of `resources`, which are taken to be all that there are.

    `tcp_ports` are ports that are not HTTP, beside those of Kubernetes' Services among the resources.
    """
    tcp = tcp_ports | _tcp_ports(resources)
    found = [
        Hazard(resource=name_of(one), pointer=pointer, hazard=hazard, detail=detail)
        for one in resources
        if one["kind"] in KINDS
        for pointer, hazard, detail in _hazards_of(one, resources, tcp, root_namespace)
    ]
    return sorted(set(found))


def _hazards_of(
    one: Resource, resources: Sequence[Resource], tcp_ports: Set[int], root_namespace: str
) -> Iterator[RuleHazard]:
    yield from _scope(one, root_namespace)
    match one["kind"]:
        case "PeerAuthentication":
            yield from _peer(one)
        case "RequestAuthentication":
            yield from _tokens(one, resources)
        case "AuthorizationPolicy":
            yield from _policy(one, resources, tcp_ports)


def _scope(one: Resource, root_namespace: str) -> Iterator[RuleHazard]:
    spec = one.get("spec") or {}
    if one["metadata"].get("namespace") == root_namespace:
        yield "/metadata/namespace", "namespace.root", "in the root namespace it holds for the whole mesh"
    elif not labels_of(one) and not spec.get("targetRefs") and not spec.get("targetRef"):
        yield "/spec/selector", "selector.missing", "without a selector it holds for the whole namespace"


def _peer(one: Resource) -> Iterator[RuleHazard]:
    spec = one.get("spec") or {}
    modes = {"/spec/mtls/mode": (spec.get("mtls") or {}).get("mode")}
    for port, mtls in (spec.get("portLevelMtls") or {}).items():
        modes[below("/spec/portLevelMtls", str(port), "mode")] = (mtls or {}).get("mode")
    for pointer, mode in modes.items():
        if mode in ("PERMISSIVE", "DISABLE"):
            yield pointer, "mtls.lax", f"{mode}: who comes without mutual TLS has no identity, and gets in"


def _tokens(one: Resource, resources: Sequence[Resource]) -> Iterator[RuleHazard]:
    allowing = [
        policy
        for policy in of_kind(resources, "AuthorizationPolicy")
        if _action(policy) in ("ALLOW", "CUSTOM") and covers(policy, one)
    ]
    if not allowing:
        detail = "no policy allows here, so who has no token gets in: add one with requestPrincipals"
        yield "/spec", "token.unneeded", detail


def _policy(one: Resource, resources: Sequence[Resource], tcp_ports: Set[int]) -> Iterator[RuleHazard]:
    rules = (one.get("spec") or {}).get("rules") or []
    action = _action(one)
    if action == "CUSTOM":
        yield "/spec/action", "action.custom", "comes before DENY and ALLOW, and something else decides"
    if not rules and action == "ALLOW":
        yield "/spec/rules", "allow.nothing", "an ALLOW without a rule denies everything"
    if not rules and action == "DENY":
        yield "/spec/rules", "deny.nothing", "a DENY without a rule denies nothing"
    issuers = {
        rule.get("issuer")
        for tokens in of_kind(resources, "RequestAuthentication")
        if _meet(tokens, one)
        for rule in (tokens.get("spec") or {}).get("jwtRules") or ()
    }
    for index, rule in enumerate(rules):
        at = below("/spec/rules", index)
        for pointer, hazard, detail in rule_hazards(rule or {}, action, tcp_ports):
            yield at + pointer, hazard, detail
        for pointer, issuer in issuers_named(rule or {}):
            if issuer not in issuers:
                detail = f"its issuer is what is before the LAST slash, {issuer!r}, which no tokens are of"
                yield at + pointer, "principal.issuer", detail
    if any(names_workloads(rule or {}) for rule in rules) and not _is_strict(one, resources):
        detail = "identities of workloads need mutual TLS: add a PeerAuthentication with the mode STRICT"
        yield "/spec/rules", "mtls.missing", detail


def _is_strict(policy: Resource, resources: Sequence[Resource]) -> bool:
    return any(
        ((peer.get("spec") or {}).get("mtls") or {}).get("mode") == "STRICT"
        for peer in of_kind(resources, "PeerAuthentication")
        if covers(peer, policy)
    )


def _action(policy: Resource) -> str:
    return str((policy.get("spec") or {}).get("action", "ALLOW"))


def covers(outer: Resource, inner: Resource) -> bool:
    """Returns whether `outer` holds for all pods for which `inner` does."""
    same = outer["metadata"].get("namespace") in (inner["metadata"].get("namespace"), ROOT_NAMESPACE)
    return same and labels_of(outer).items() <= labels_of(inner).items()


def _meet(one: Resource, other: Resource) -> bool:
    """Returns whether there may be pods for which both hold."""
    same = one["metadata"].get("namespace") == other["metadata"].get("namespace")
    labels = labels_of(other)
    return (
        same or ROOT_NAMESPACE in (one["metadata"].get("namespace"), other["metadata"].get("namespace"))
    ) and all(labels.get(name, value) == value for name, value in labels_of(one).items())


def _tcp_ports(resources: Sequence[Resource]) -> frozenset[int]:
    """Returns the ports of pods that Services among `resources` declare as other than HTTP."""
    return frozenset(
        port.get("targetPort", port["port"])
        for service in of_kind(resources, "Service")
        for port in (service.get("spec") or {}).get("ports") or ()
        if str(port.get("appProtocol") or port.get("name") or "").startswith(TCP_NAMES)
    )
