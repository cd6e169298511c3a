"""`waypost mesh evaluate`: decides one request to a service, by the rule and by what is rendered."""

import re
import time
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from gateway.cli.arguments import Format, Output
from gateway.cli.errors import CliError, Exit
from gateway.cli.mesh.folders import DEFAULT_SERVICES, ServicesOption, service_catalog
from gateway.cli.mesh.rule import decide, decide_by_opa, services_source
from gateway.cli.output import command, console, print_value
from gateway.identity.jws_parsing import HeaderTooLarge, TokenRejected, parse_jws
from gateway.mesh.evaluation import evaluate, pods_of
from gateway.mesh.reading import ServiceCatalog
from gateway.mesh.rendering import render
from gateway.mesh.request import Request, Verdict
from gateway.mesh.service import Service, WorkloadIdentity
from gateway.policy.answer import PolicyAnswer

NORMALIZED: Final = re.compile(
    r"(?!.*//)(?!.*/\.\.?(?:[/?#]|\Z))(?!.*%(?:2[DE]|3\d|4[1-9A-F]|5[\dAF]|6[1-9A-F]|7[\dAE]))/[^\s\\]*",
    re.IGNORECASE,
)
"""Matches a path that proxies pass on as it is: without dot segments, empty parts and needless escapes."""


@command
def evaluate_request(
    service: Annotated[str, Parameter(help="Its name, as in the service files.")],
    /,
    *,
    services: ServicesOption = DEFAULT_SERVICES,
    method: Annotated[str | None, Parameter(help="GET, POST, ...; not on a TCP port.")] = None,
    path: Annotated[str | None, Parameter(help="The path, with or without a query.")] = None,
    port: Annotated[
        int | None,
        Parameter(validator=Number(gte=1, lte=65_535), help="Of the pods. Default: the service's first."),
    ] = None,
    workload: Annotated[
        str | None, Parameter(help="The caller: spiffe://cluster.local/ns/NAMESPACE/sa/ACCOUNT.")
    ] = None,
    token: Annotated[
        str | None, Parameter(help="The caller's token. Its signature is not verified here.")
    ] = None,
    claims: Annotated[str | None, Parameter(help="Instead of a token its claims, as a JSON object.")] = None,
    opa: Annotated[bool, Parameter(negative="", help="Let an `opa` decide by the rule.")] = False,
    output: Output = Format.TABLE,
) -> int:
    """Decide whether a request reaches SERVICE: by the rule, as a gateway, and by Istio's resources.

    Exit code 3 where it is refused; 1 where the two do not agree, which is a fault of Waypost.
    """
    catalog = service_catalog(services)
    if (described := catalog.services.get(service)) is None:
        known = ", ".join(sorted(catalog.services))
        raise CliError(f"{services} has no service {service}: there are {known}", code=Exit.NOT_FOUND)
    request = _request(service, described, method, path, port, workload, _claims(token, claims, time.time()))
    source = services_source(catalog)
    (answer,) = [decide_by_opa(source, request)] if opa else decide(source, [request])
    verdict = _by_istio(catalog, service, described, request)
    _print(answer, verdict, output)
    if answer.allow is not verdict.allow:
        raise CliError("rule and rendering do not agree: please report this request, and the service's file")
    return Exit.DONE if answer.allow else Exit.REFUSED


def _claims(token: str | None, claims: str | None, now: float) -> dict[str, Any] | None:
    """Returns the claims of `token`, or those given as JSON. Raises `CliError` for an invalid token."""
    if token is not None and claims is not None:
        raise CliError("--token and --claims: one is enough", code=Exit.USAGE)
    if claims is not None:
        try:
            return msgspec.json.decode(claims, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise CliError(f"--claims is no JSON object: {error}", code=Exit.USAGE) from error
    if token is None:
        return None
    try:
        _, found = parse_jws(token.encode())
    except (TokenRejected, HeaderTooLarge, UnicodeEncodeError) as error:
        raise CliError(f"--token is no token: {str(error) or 'it is too large'}", code=Exit.USAGE) from error
    for claim in _claims_over(found, now):
        raise CliError(f"refused: the token's {claim} says that it is not valid now", code=Exit.REFUSED)
    return found


def _claims_over(claims: dict[str, Any], now: float) -> Iterator[str]:
    """Yields the claims that say that a token is not valid at `now`, in seconds since 1970."""
    expires, begins = claims.get("exp"), claims.get("nbf")
    if isinstance(expires, int | float) and expires <= now:
        yield "exp"
    if isinstance(begins, int | float) and begins > now:
        yield "nbf"


def _request(
    name: str,
    service: Service,
    method: str | None,
    path: str | None,
    port: int | None,
    workload: str | None,
    claims: dict[str, Any] | None,
) -> Request:
    port = port or (*service.ports.http, *service.ports.tcp)[0]
    if port in service.ports.tcp:
        if method is not None or path is not None or claims is not None:
            raise CliError(f"port {port} is TCP: there is no method, path or token", code=Exit.USAGE)
    elif method is None or path is None:
        raise CliError(f"port {port} is HTTP: say --method and --path", code=Exit.USAGE)
    elif not NORMALIZED.fullmatch(path):
        hint = "as a proxy passes it on: it begins with /, has no //, no .. and no needless escapes"
        raise CliError(f"--path {path}: write it {hint}", code=Exit.USAGE)
    if workload is not None:
        try:
            msgspec.convert(workload, WorkloadIdentity)
        except msgspec.ValidationError as error:
            hint = "spiffe://cluster.local/ns/NAMESPACE/sa/ACCOUNT"
            raise CliError(f"--workload {workload}: write it as {hint}", code=Exit.USAGE) from error
    return Request(service=name, port=port, method=method, path=path, workload=workload, claims=claims)


def _by_istio(catalog: ServiceCatalog, name: str, service: Service, request: Request) -> Verdict:
    return evaluate(render(name, service, source=catalog.files[name]), pods_of(service), request)


def _print(answer: PolicyAnswer, verdict: Verdict, output: Format) -> None:
    if output is not Format.TABLE:
        reasons = [{"rule": one.rule, "message": one.message} for one in answer.reasons]
        rule = {"allow": answer.allow, "rules": answer.rules, "reasons": reasons}
        name = "allowed" if answer.allow else "refused"
        print_value({"name": name, "rule": rule, "istio": msgspec.to_builtins(verdict)}, output)
        return
    print("allowed" if answer.allow else "refused", "by", ", ".join(answer.rules) or "no rule")
    for reason in answer.reasons:
        print(f"  {reason.message}")
    console().print(f"Istio: {'allowed' if verdict.allow else 'refused'} by {verdict.by}", markup=False)
