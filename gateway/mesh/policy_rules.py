"""Decides whether one rule of an AuthorizationPolicy matches a request, field by field."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

from msgspec import Struct

from gateway.mesh.matching import claim_matches, path_of, principal_matches, subject_matches, text_matches
from gateway.mesh.rendering import Resource
from gateway.mesh.request import Request

HTTP_FIELDS: Final = frozenset(
    {
        "hosts",
        "methods",
        "notHosts",
        "notMethods",
        "notPaths",
        "notRequestPrincipals",
        "paths",
        "requestPrincipals",
    }
)
"""The fields of sources and operations that are known of an HTTP request alone."""
CLAIMS: Final = "request.auth.claims["


class UnknownField(Exception):
    """Raised for a field of a resource that is not evaluated here; the text names it."""


class Attributes(Struct, frozen=True, kw_only=True):
    """What the rules of an AuthorizationPolicy see of a request."""

    port: str
    principal: str
    method: str | None
    path: str | None
    claims: Mapping[str, Any]
    is_tcp: bool

    @classmethod
    def of(cls, request: Request, claims: Mapping[str, Any] | None, *, is_tcp: bool) -> Self:
        """Returns what is seen of `request`; `claims` are those of the token that was taken."""
        return cls(
            port=str(request.port),
            principal=(request.workload or "").removeprefix("spiffe://"),
            method=None if is_tcp else request.method,
            path=None if is_tcp or request.path is None else path_of(request.path),
            claims=claims or {},
            is_tcp=is_tcp,
        )


class Condition(Struct, frozen=True):
    """A field of a rule, or a key of its `when`: one of `values` must match, and none of `others`."""

    field: str
    values: Sequence[str]
    others: Sequence[str]


def rule_matches(rule: Resource, seen: Attributes, *, denies: bool) -> bool:
    """Returns whether a rule of a policy that allows, or that `denies`, matches.

    On a TCP port Istio drops a rule that allows where any of its fields is HTTP, but of one that denies only
    that field: so the first lets in fewer than it says, the second keeps out more.
    """
    if unknown := rule.keys() - {"from", "to", "when"}:
        raise UnknownField(f"AuthorizationPolicy: rules: {min(unknown)}")
    sources = [_conditions(one.get("source") or {}) for one in rule.get("from") or ()] or [[]]
    operations = [_conditions(one.get("operation") or {}) for one in rule.get("to") or ()] or [[]]
    when = [
        Condition(one["key"], one.get("values") or (), one.get("notValues") or ())
        for one in rule.get("when") or ()
    ]
    if seen.is_tcp and not denies:
        every = [*when, *(one for part in (*sources, *operations) for one in part)]
        if any(is_http(one.field) and (one.values or one.others) for one in every):
            return False
    return (
        any(all(_holds(one, seen) for one in source) for source in sources)
        and any(all(_holds(one, seen) for one in operation) for operation in operations)
        and all(_holds(one, seen) for one in when)
    )


def is_http(field: str) -> bool:
    """Returns whether a field or key is known of an HTTP request alone."""
    return field in HTTP_FIELDS or field.startswith("request.")


def _conditions(part: Mapping[str, Sequence[str]]) -> list[Condition]:
    return [
        Condition(field, (), values) if field.startswith("not") else Condition(field, values, ())
        for field, values in part.items()
    ]


def _holds(condition: Condition, seen: Attributes) -> bool:
    matches = _matcher(condition.field, seen)
    if seen.is_tcp and is_http(condition.field):
        return True
    if condition.values and not any(map(matches, condition.values)):
        return False
    return not any(map(matches, condition.others))


def _matcher(field: str, seen: Attributes) -> Callable[[str], bool]:
    """Returns the function that says whether a value of `field` matches. Raises `UnknownField`."""
    name = field[3].lower() + field[4:] if field.startswith("not") else field
    match name:
        case "principals" | "source.principal":
            return lambda value: principal_matches(value, seen.principal)
        case "requestPrincipals" | "request.auth.principal":
            return lambda value: subject_matches(value, seen.claims)
        case "methods":
            return lambda value: seen.method is not None and text_matches(value, seen.method)
        case "paths":
            return lambda value: seen.path is not None and text_matches(value, seen.path)
        case "ports" | "destination.port":
            return lambda value: value == seen.port
        case "request.auth.audiences":
            return lambda value: claim_matches(value, seen.claims, ["aud"])
    if name.startswith(CLAIMS) and name.endswith("]"):
        path = name.removeprefix(CLAIMS).removesuffix("]").split("][")
        return lambda value: claim_matches(value, seen.claims, path)
    raise UnknownField(f"AuthorizationPolicy: {field}")
