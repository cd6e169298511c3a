"""`waypost routing`: applies, lists, shows and rolls back revisions of how regions share new work."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from gateway.cli.arguments import Format, Output, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.documents import detect_media_type, read_bytes, read_value
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, console, format_time, print_names, print_value, table

app = App(name="routing", help="How new work is spread over the regions: weights, cordons, preferences.")

Rev = Annotated[
    int | None,
    Parameter(help="Only if the routing is still at this state, as `list -o json` shows in `rev`."),
]


@app.command
@command
def apply(
    file: Annotated[
        str, Parameter(name=["--file", "-f"], help="The document, YAML or JSON; - reads standard input.")
    ],
    *,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """Put a new routing revision in force for all new work, in place of the one before it."""
    body = read_bytes(file)
    document = read_value(file, body, detect_media_type(body))
    with connect(url, token) as client:
        _show(read_answer(client.post(api_path("routing"), json=document), "revisions"), output)


@app.command(name="list")
@command
def listing(*, output: Output = Format.TABLE, url: Url = None, token: Token = None) -> None:
    """List the routing revisions, newest first: which is in force, and who changed it."""
    with connect(url, token) as client:
        _show(_routing(client), output)


@app.command
@command
def show(
    number: Annotated[int | None, Parameter(help="Which revision. Default: the one in force.")] = None,
    /,
    *,
    output: Output = Format.YAML,
    url: Url = None,
    token: Token = None,
) -> None:
    """Print the document of a routing revision, as `apply` takes it; an empty one if none is in force."""
    with connect(url, token) as client:
        revisions = _routing(client)["revisions"]
    found = next((one for one in revisions if _is(one, number)), None)
    if found is None and number is not None:
        raise CliError(f"there is no routing revision {number}", code=Exit.NOT_FOUND)
    regions = {} if found is None else found["regions"]
    if output is Format.NAME:
        print_names(regions)
    else:
        print_value({"regions": regions}, Format.YAML if output is Format.TABLE else output)


@app.command
@command
def rollback(
    number: Annotated[int, Parameter(help="The revision in force.")],
    /,
    *,
    rev: Rev = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """Roll the routing revision in force back for good: the one before it is in force again."""
    with connect(url, token) as client:
        if rev is None:
            rev = int(_routing(client)["rev"])
        path = api_path("routing", str(number), "rollback")
        answer = client.post(path, headers={"if-match": f'"{rev}"'})
        _show(read_answer(answer, "revisions"), output)


def _routing(client: Any) -> dict[str, Any]:
    found: dict[str, Any] = read_answer(client.get(api_path("routing")), "rev", "revisions")
    return found


def _is(revision: dict[str, Any], number: int | None) -> bool:
    if number is None:
        return bool(revision["state"] == "Active")
    return bool(revision["number"] == number)


def _show(routing: dict[str, Any], output: Format) -> None:
    revisions = routing["revisions"][::-1]
    if output is Format.NAME:
        print_names(str(one["number"]) for one in revisions)
        return
    if output is not Format.TABLE:
        print_value(routing, output)
        return
    rows = (
        [one["number"], one["state"], _regions(one), format_time(one["changed_at"]), one["changed_by"]]
        for one in revisions
    )
    console().print(table(["REVISION", "STATE", "REGIONS", "SINCE", "BY"], rows))
    for one in revisions:
        if one["reason"]:
            console().print(f"{one['number']}: {one['reason']}", markup=False)


def _regions(revision: dict[str, Any]) -> str:
    """Formats a revision's regions in one line, such as `beijing 3, shanghai cordon`."""
    regions = revision["regions"].items()
    return ", ".join(f"{name} {_region(one)}" for name, one in regions) or "as in the settings"


def _region(region: dict[str, Any]) -> str:
    weight = [f"{region['weight']:g}"] if region.get("weight") else []
    marks = [mark for mark in ("cordon", "avoid") if region.get(mark)]
    return " ".join([*weight, *marks]) or "as in the settings"
