"""Finds the hazards of one rule of an AuthorizationPolicy."""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, Final, TypeAlias

from gateway.mesh.matching import SPLIT_AT_SPACES
from gateway.mesh.policy_rules import CLAIMS, is_http
from gateway.mesh.rendering import Resource
from waypost.json_pointer import below

RuleHazard: TypeAlias = tuple[str, str, str]
"""A JSON pointer, the name of the hazard, and a sentence."""

OFTEN_SPLIT: Final = frozenset({"permissions", "scopes", "scp"})
"""Claims whose text often is a list with spaces, which Istio does not split."""
WORKLOAD_FIELDS: Final = frozenset(
    {"namespaces", "notNamespaces", "notPrincipals", "principals", "source.namespace", "source.principal"}
)
CALLER_FIELDS: Final = frozenset(
    {
        "namespaces",
        "principals",
        "requestPrincipals",
        "serviceAccounts",
        "source.namespace",
        "source.principal",
    }
)
PRINCIPALS: Final = ("requestPrincipals", "notRequestPrincipals", "request.auth.principal")


def rule_hazards(rule: Resource, action: str, tcp_ports: Set[int]) -> Iterator[RuleHazard]:
    """Yields the hazards of `rule` in a policy with `action`, with pointers that begin at the rule."""
    fields = list(_fields(rule))
    if not fields and action != "CUSTOM":
        done = "allows everything" if action == "ALLOW" else "denies everything"
        yield "", f"{action.lower()}.everything", f"a rule without a condition {done}"
    elif action == "ALLOW" and not any(_names_caller(name) for _, name, _, _ in fields):
        yield "", "allow.anybody", "it names no caller, so it lets in who has neither token nor identity"
    for pointer, name, values, negative in fields:
        if not values:
            yield pointer, "values.empty", "without a value Istio drops it, and the rule holds for more"
            continue
        yield from _values(pointer, name, values)
        if negative and action == "ALLOW":
            detail = (
                "what is missing is not equal either: name what is allowed, or deny in a policy with DENY"
            )
            yield pointer, "allow.negative", detail
        if not negative and action == "DENY" and name.startswith("request.auth."):
            detail = "who has no token, or not this claim, is not denied: deny by notValues"
            yield pointer, "deny.positive", detail
    yield from _tcp(fields, action, tcp_ports)


def issuers_named(rule: Resource) -> Iterator[tuple[str, str]]:
    """Yields the issuer of each principal of a request that `rule` names, as Istio reads it."""
    for pointer, name, values, _ in _fields(rule):
        for index, value in enumerate(values if name in PRINCIPALS else ()):
            if not value.startswith("*"):
                yield below(pointer, index), value.rpartition("/")[0] or value


def names_workloads(rule: Resource) -> bool:
    """Returns whether `rule` tests the identity of the calling workload."""
    return any(name in WORKLOAD_FIELDS for _, name, _, _ in _fields(rule))


def _fields(rule: Resource) -> Iterator[tuple[str, str, Sequence[str], bool]]:
    """Yields each field of sources and operations, and each condition: pointer, name, values, if negative."""
    for part, inner in (("from", "source"), ("to", "operation")):
        for index, one in enumerate(rule.get(part) or ()):
            for name, values in ((one or {}).get(inner) or {}).items():
                yield below("", part, index, inner, name), name, values or (), name.startswith("not")
    for index, one in enumerate(rule.get("when") or ()):
        yield from _condition(below("", "when", index), one)


def _condition(pointer: str, one: Mapping[str, Any]) -> Iterator[tuple[str, str, Sequence[str], bool]]:
    key, values, others = one.get("key", ""), one.get("values") or (), one.get("notValues") or ()
    if values or not others:
        yield below(pointer, "values"), key, values, False
    if others:
        yield below(pointer, "notValues"), key, others, True


def _names_caller(name: str) -> bool:
    return name in CALLER_FIELDS or name.startswith("request.auth.")


def _values(pointer: str, name: str, values: Sequence[str]) -> Iterator[RuleHazard]:
    for index, value in enumerate(map(str, values)):
        at = below(pointer, index)
        if value == "":
            yield at, "values.empty", "an empty value"
        elif _is_open(name, value):
            yield at, "value.wildcard", f"{value!r}: a * at an end matches anything there"
        if name.startswith(CLAIMS):
            yield from _claim(at, name.removeprefix(CLAIMS).removesuffix("]"), value)


def _is_open(name: str, value: str) -> bool:
    """Returns whether a value is a wildcard beyond those that say what they mean.

    These are all below a path, `/a/*`, and all subjects of an issuer, `https://issuer/*`.
    """
    if name in ("paths", "notPaths"):
        return value.startswith("*") or (value.endswith("*") and not value.endswith("/*"))
    if name in PRINCIPALS:
        issuer, _, subject = value.rpartition("/")
        return "*" in issuer or (not issuer and "*" in value) or (subject != "*" and "*" in subject)
    return value.startswith("*") or value.endswith("*")


def _claim(pointer: str, claim: str, value: str) -> Iterator[RuleHazard]:
    if claim in SPLIT_AT_SPACES and " " in value:
        yield pointer, "claim.spaces", f"{claim} is split at spaces, so no value of it has one"
    if claim in OFTEN_SPLIT:
        yield (
            pointer,
            "claim.whole",
            f"{claim} is not split at spaces, as scope is: a text of several never matches",
        )


def _tcp(
    fields: Sequence[tuple[str, str, Sequence[str], bool]], action: str, tcp_ports: Set[int]
) -> Iterator[RuleHazard]:
    ports = {
        str(port) for _, name, values, _ in fields if name in ("ports", "destination.port") for port in values
    }
    named = sorted(str(port) for port in tcp_ports if not ports or str(port) in ports)
    for pointer, name, _, _ in fields if named else ():
        if is_http(name):
            done = "drops this rule there" if action == "ALLOW" else "drops this field there, and denies more"
            yield pointer, "tcp.http", f"it is HTTP, and port {named[0]} is not: Istio {done}"
