"""`waypost submit`: hand a workflow in, and follow it if asked to."""

import re
import uuid
from typing import Annotated, Any, Final

import msgspec
from cyclopts import Parameter

from gateway.cli.client import CliError, Exit, Token, Url, checked, connect, path
from gateway.cli.documents import JSON, content, media_type, value
from gateway.cli.output import Format, Output, command, console, counted, painted, show, table
from gateway.cli.runs.watch import follow
from waypost.suggestions import closest

KEY_MAXIMUM: Final = 255
TEXT: Final = "text"
ANYTHING: Final = "anything"


@command
def submit(
    file: Annotated[
        str, Parameter(help="The workflow, YAML or JSON; - reads standard input.", allow_leading_hyphen=True)
    ],
    /,
    *,
    param: Annotated[
        tuple[str, ...],
        Parameter(name=["--param", "-p"], negative="", help="name=value: sets spec.params.name"),
    ] = (),
    key: Annotated[
        str | None,
        Parameter(help="Idempotency key: the same key and document give the same run. Default: a new one."),
    ] = None,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Show the decision and the plan; store nothing.")
    ] = False,
    watch: Annotated[
        bool,
        Parameter(
            name=["--watch", "-w"], negative="", help="Follow the run; the exit code says how it ended."
        ),
    ] = False,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> int | None:
    """Submit a workflow."""
    body, kind = read_document(file, param)
    headers = {"content-type": kind, "idempotency-key": uuid.uuid4().hex if key is None else _visible(key)}
    with connect(url, token) as client:
        query = {"dryRun": "true"} if dry_run else {}
        answer = checked(
            client.post(path("runs"), content=body, headers=headers, params=query), "shard_count"
        )
        if dry_run:
            _show_plan(answer, output)
            return None
        if not watch:
            if output is Format.TABLE:
                console().print(f"{answer['id']}  {painted(answer['phase'])}", markup=True)
            else:
                show(answer, output)
            return None
        return follow(client, answer["id"], output)


def read_document(file: str, params: tuple[str, ...]) -> tuple[bytes, str]:
    """The file as it is, and its media type; with `--param`, read and written again as JSON. Raises `CliError`."""
    body = content(file)
    kind = media_type(body)
    if not params:
        return body, kind
    document = value(file, body, kind)
    try:
        spec = document["spec"]
        known = spec.get("params", {})
        spec["params"] = known | dict(_param(param, known, body.decode()) for param in params)
    except (TypeError, KeyError, AttributeError) as error:
        raise CliError(f"{file} has no spec that could have params", code=Exit.USAGE) from error
    return msgspec.json.encode(document), JSON


def _param(param: str, known: dict[str, Any], text: str) -> tuple[str, Any]:
    """The value is text where the document's own one is text or absent; else JSON, of the kind that it replaces; for null, of any."""
    name, equals, given = param.partition("=")
    if not equals:
        raise CliError(f"--param {param}: write name=value", code=Exit.USAGE)
    if known and name not in known and not re.search(rf"params\.{re.escape(name)}(?![\w-])", text):
        near = closest(name, known)
        meant = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
        raise CliError(f"--param {param}: there is no params.{name}; {meant}", code=Exit.USAGE)
    own = known.get(name, "")
    kind = _kind(own)
    if kind == TEXT:
        return name, given
    try:
        found = msgspec.json.decode(given)
    except msgspec.DecodeError:
        found = given
    if kind not in (ANYTHING, _kind(found)):
        shown = msgspec.json.encode(own).decode()
        raise CliError(
            f"--param {param}: must be {kind}, like the {shown:.40} in the document", code=Exit.USAGE
        )
    return name, found


def _kind(value: Any) -> str:
    match value:
        case None:
            return ANYTHING
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case list():
            return "a list in JSON"
        case dict():
            return "an object in JSON"
    return TEXT


def _visible(key: str) -> str:
    if not 0 < len(key) <= KEY_MAXIMUM or not (key.isascii() and key.isprintable()) or " " in key:
        raise CliError(f"--key: 1 to {KEY_MAXIMUM} visible ASCII characters", code=Exit.USAGE)
    return key


def _show_plan(answer: dict[str, Any], output: Format) -> None:
    if output is not Format.TABLE:
        show(answer, output)
        return
    screen = console()
    place = f"the first shard would go to {answer['region']}" if answer["region"] else answer["unplaceable"]
    screen.print(f"allowed, {counted(answer['shard_count'], 'shard')}: {place}", markup=False)
    rows = ([r["name"], r["score"] and f"{r['score']:.4f}", r["rejected"]] for r in answer["regions"])
    screen.print(table(["REGION", "SCORE", "NOT TAKEN BECAUSE"], rows))
