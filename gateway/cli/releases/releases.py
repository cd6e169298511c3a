"""`waypost apply` and `waypost releases`: store versions of a workflow, and release them in stages."""

import math
from contextlib import suppress
from typing import Annotated, Any

from cyclopts import App, Parameter

from gateway.cli.arguments import Continued, Format, Limit, Output, Token, Url
from gateway.cli.client import api_path, connect, read_answer, read_pages
from gateway.cli.documents import detect_media_type, read_bytes
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, console, format_time, print_more, print_names, print_value, table

app = App(name="releases", help="Released workflows: versions, canaries and what is stable.")

Name = Annotated[str, Parameter(help="The name of the workflow.")]
Version = Annotated[int, Parameter(help="The number of the version.")]
Tenant = Annotated[str | None, Parameter(help="The workflow is this tenant's. Default: the token's.")]
Rev = Annotated[
    int | None, Parameter(help="Only if the workflow is still at this revision, as `describe` shows it.")
]


@command
def apply(
    file: Annotated[
        str, Parameter(name=["--file", "-f"], help="The workflow, YAML or JSON; - reads standard input.")
    ],
    *,
    source: Annotated[str, Parameter(help="The revision of its source, such as a commit.")] = "",
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """Store a new version of a workflow. The first is stable at once; `releases canary` tries later ones."""
    body = read_bytes(file)
    query = {"source": source} if source else {}
    with connect(url, token) as client:
        answer = client.post(
            api_path("workflows"),
            content=body,
            headers={"content-type": detect_media_type(body)},
            params=query,
        )
        _show(read_answer(answer, "name", "versions"), output)


@app.command(name="list")
@command
def listing(
    *,
    tenant: Tenant = None,
    limit: Limit = 50,
    continued: Continued = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """List the released workflows that you may see, with their stable and canary versions."""
    query = _of(tenant) | ({} if continued is None else {"continue": continued})
    with connect(url, token) as client:
        page = read_pages(client, api_path("workflows"), query, limit)
    print_more(page)
    found = page["items"]
    if output is Format.NAME:
        print_names(one["name"] for one in found)
    elif output is not Format.TABLE:
        print_value(found, output)
    else:
        rows = ([one["tenant"], one["name"], _one(one, "Stable"), _one(one, "Canary")] for one in found)
        console().print(table(["TENANT", "WORKFLOW", "STABLE", "CANARY"], rows))


@app.command
@command
def describe(
    name: Name,
    /,
    *,
    tenant: Tenant = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """Show one released workflow: each version with its state and who changed it."""
    with connect(url, token) as client:
        found = read_answer(client.get(api_path("workflows", name), params=_of(tenant)), "name", "versions")
    _show(found, output)


@app.command
@command
def canary(
    name: Name,
    version: Version,
    /,
    *,
    percent: Annotated[
        float | None, Parameter(help="The share of submissions by name that it gets. Default: 5.")
    ] = None,
    steps: Annotated[
        str | None,
        Parameter(help="Shares such as 5,25,100: each follows once the one before did well; at 100: stable."),
    ] = None,
    tenant: Tenant = None,
    rev: Rev = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """Put a workflow's version in canary: it gets a share of the submissions by name.

    With --steps the gateway raises the share by itself, as long as the version does well.
    """
    if steps is not None and percent is not None:
        raise CliError("say --percent or --steps, not both", code=Exit.USAGE)
    if percent is not None and not math.isfinite(percent):
        raise CliError(f"--percent: a number above 0, at most 100: not {percent}", code=Exit.USAGE)
    body: dict[str, Any] = {"percent": 5.0 if percent is None else percent}
    if steps is not None:
        body["percent"], *body["steps"] = _shares(steps)
    _request_step("canary", name, version, tenant, rev, output, url, token, body=body)


@app.command
@command
def promote(
    name: Name,
    version: Version,
    /,
    *,
    tenant: Tenant = None,
    rev: Rev = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """Make a workflow's version the stable one: every submission by name runs it."""
    _request_step("promote", name, version, tenant, rev, output, url, token)


@app.command
@command
def abort(
    name: Name,
    version: Version,
    /,
    *,
    tenant: Tenant = None,
    rev: Rev = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """End the canary of a workflow's version: no submission runs that version, and it may be tried again."""
    _request_step("abort", name, version, tenant, rev, output, url, token)


@app.command
@command
def rollback(
    name: Name,
    version: Version,
    /,
    *,
    tenant: Tenant = None,
    rev: Rev = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """Roll a workflow's version back for good. If it was stable, the previous stable version replaces it.

    For the workflow of another tenant: `waypost releases rollback NAME VERSION --tenant TENANT`.
    """
    _request_step("rollback", name, version, tenant, rev, output, url, token)


def _shares(text: str) -> list[float]:
    with suppress(ValueError):
        shares = [float(share) for share in text.split(",")]
        if all(map(math.isfinite, shares)):  # JSON has neither infinity nor NaN
            return shares
    raise CliError(f"--steps: shares in percent, such as 5,25,100: not {text}", code=Exit.USAGE)


def _request_step(
    step: str,
    name: str,
    version: int,
    tenant: str | None,
    rev: int | None,
    output: Format,
    url: str | None,
    token: str | None,
    *,
    body: dict[str, Any] | None = None,
) -> None:
    """Requests a release change (canary, promote, ...) of a workflow's version, and prints the result."""
    with connect(url, token) as client:
        if rev is None:
            found = client.get(api_path("workflows", name), params=_of(tenant))
            rev = int(read_answer(found, "rev")["rev"])
        path = api_path("workflows", name, "versions", str(version), step)
        answer = client.post(path, headers={"if-match": f'"{rev}"'}, json=body, params=_of(tenant))
        _show(read_answer(answer, "name", "versions"), output)


def _show(workflow: dict[str, Any], output: Format) -> None:
    if output is Format.NAME:
        print_names([workflow["name"]])
        return
    if output is not Format.TABLE:
        print_value(workflow, output)
        return
    console().print(f"{workflow['name']} of {workflow['tenant']}, revision {workflow['rev']}", markup=False)
    rows = (
        [
            one["number"],
            _state(one),
            one["source"],
            one["applied_by"],
            format_time(one["changed_at"]),
            one["changed_by"],
        ]
        for one in reversed(workflow["versions"])
    )
    console().print(table(["VERSION", "STATE", "SOURCE", "APPLIED BY", "SINCE", "BY"], rows))
    for one in reversed(workflow["versions"]):
        if one.get("reason"):
            console().print(f"{one['number']}: {one['reason']}", markup=False)


def _of(tenant: str | None) -> dict[str, str]:
    return {} if tenant is None else {"tenant": tenant}


def _one(workflow: dict[str, Any], state: str) -> str:
    found = (one for one in workflow["versions"] if one["state"] == state)
    return next((f"{one['number']}{_share(one)}" for one in found), "")


def _state(version: dict[str, Any]) -> str:
    return f"{version['state']}{_share(version)}"


def _share(version: dict[str, Any]) -> str:
    if not version["percent"]:
        return ""
    following = ", ".join(f"{percent:g}" for percent in version.get("steps", ()))
    return f" {version['percent']:g} %" + (f", then {following}" if following else "")
