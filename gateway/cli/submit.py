"""`waypost submit`: hand a workflow in, and follow it if asked to."""

import sys
import uuid
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from gateway.cli.client import CliError, Exit, Token, Url, checked, connect
from gateway.cli.follow import follow
from gateway.cli.output import Format, Output, command, console, painted, show, table
from gateway.core.errors import GatewayError
from gateway.core.yaml import read_yaml
from gateway.settings import Documents


@command
def submit(
    file: Annotated[str, Parameter(help="The workflow, YAML or JSON; - reads standard input.", allow_leading_hyphen=True)],
    /,
    *,
    param: Annotated[tuple[str, ...], Parameter(name=["--param", "-p"], negative="", help="name=value: sets spec.params.name")] = (),
    key: Annotated[str | None, Parameter(help="Idempotency key: the same key and document give the same run. Default: a new one.")] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Show the decision and the plan; store nothing.")] = False,
    watch: Annotated[bool, Parameter(name=["--watch", "-w"], negative="", help="Follow the run; the exit code says how it ended.")] = False,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> int | None:
    """Submit a workflow."""
    body, media_type = read_document(file, param)
    headers = {"content-type": media_type, "idempotency-key": key or uuid.uuid4().hex}
    with connect(url, token) as client:
        query = {"dryRun": "true"} if dry_run else {}
        answer = checked(client.post("/v1/runs", content=body, headers=headers, params=query))
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
    try:
        body = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise CliError(f"cannot read {file}: {error.strerror}", code=Exit.USAGE) from error
    if not params:
        return body, "application/json" if body.lstrip()[:1] == b"{" else "application/yaml"
    document = _read(file, body)
    try:
        values = document["spec"].setdefault("params", {})
        for param in params:
            name, value = _param(param, values)
            values[name] = value
    except (TypeError, KeyError, AttributeError) as error:
        raise CliError(f"{file} has no spec that could have params", code=Exit.USAGE) from error
    return msgspec.json.encode(document), "application/json"


def _read(file: str, body: bytes) -> Any:
    """As the gateway reads it, since it would not see any more what is wrong with it."""
    limits = Documents()
    try:
        text = body.decode()
        value, faults = read_yaml(text, maximum_nesting=limits.maximum_nesting, maximum_expansion=limits.maximum_bytes)
    except UnicodeDecodeError as error:
        raise CliError(f"{file} is not UTF-8: {error.reason} at byte {error.start}", code=Exit.USAGE) from error
    except GatewayError as error:
        raise CliError(f"{file}: {error.detail}", code=Exit.USAGE) from error
    if faults:
        lines = tuple(f"{fault.pointer or '/'}: {fault.detail}" for fault in faults[:20])
        raise CliError(f"{file} cannot be read", lines=lines, code=Exit.USAGE)
    return value


def _param(param: str, values: dict[str, Any]) -> tuple[str, Any]:
    """The value is text where the document's own one is text or absent; else JSON, like the one that it replaces."""
    name, equals, text = param.partition("=")
    if not equals:
        raise CliError(f"--param {param}: write name=value", code=Exit.USAGE)
    if isinstance(values.get(name, ""), str):
        return name, text
    try:
        return name, msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise CliError(
            f"--param {param}: the document has {values[name]!r} there, and this is not JSON: {error}", code=Exit.USAGE
        ) from error


def _show_plan(answer: dict[str, Any], output: Format) -> None:
    if output is not Format.TABLE:
        show(answer, output)
        return
    screen = console()
    place = f"the first shard would go to {answer['region']}" if answer["region"] else answer["unplaceable"]
    screen.print(f"allowed, {answer['shard_count']} shards: {place}", markup=False)
    rows = ([r["name"], r["score"] and f"{r['score']:.4f}", r["rejected"]] for r in answer["regions"])
    screen.print(table(["REGION", "SCORE", "NOT TAKEN BECAUSE"], rows))
