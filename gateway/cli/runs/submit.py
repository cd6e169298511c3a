"""`waypost submit`: submits a workflow or makes a dry run, and follows the run if requested."""

import re
import sys
import uuid
from typing import Annotated, Any, Final

import httpx
from cyclopts import Parameter
from rich.markup import escape

from gateway.cli.arguments import Format, Output, Quiet, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import colored, command, console, format_count, print_names, print_value, table
from gateway.cli.runs.params import named_submission, read_document
from gateway.cli.runs.watch import follow

KEY_MAXIMUM: Final = 255
"""The maximum number of characters of an idempotency key, as in the gateway."""

Key = Annotated[
    str | None,
    Parameter(help="Idempotency key: the same key and document give the same run. Default: a new one."),
]
Released = Annotated[
    str | None, Parameter(help="Instead of a file: a released workflow, by its name (`waypost releases`).")
]

Targets = Annotated[
    tuple[str, ...],
    Parameter(name=["--target"], negative="", help="Only this task and what it needs run; repeatable."),
]


@command
def submit(
    file: Annotated[
        str | None,
        Parameter(name=["--file", "-f"], help="The workflow, YAML or JSON; - reads standard input."),
    ] = None,
    *,
    workflow: Released = None,
    param: Annotated[
        tuple[str, ...],
        Parameter(name=["--param", "-p"], negative="", help="name=value; with --workflow JSON, or else text"),
    ] = (),
    target: Targets = (),
    key: Key = None,
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
    quiet: Quiet = False,
    url: Url = None,
    token: Token = None,
) -> int | None:
    """Submit a workflow to the gateway, as a document or by the name of a released workflow."""
    output = Format.NAME if quiet else output
    body, media_type = _read(file, workflow, param, target)
    key = uuid.uuid4().hex if key is None else _check_key(key)
    headers = {"content-type": media_type, "idempotency-key": key}
    accepted = None
    try:
        with connect(url, token) as client:
            query = {"dryRun": "true"} if dry_run else {}
            response = client.post(api_path("runs"), content=body, headers=headers, params=query)
            answer = read_answer(response, "shard_count")
            _print_warnings(response)
            if dry_run:
                _print_plan(answer, output)
                return Exit.DONE if answer["region"] else Exit.FAILED
            accepted = str(answer["id"])
            _print_accepted(answer, output, watch=watch)
            return follow(client, accepted, output, is_named=True) if watch else None
    except CliError as error:
        if accepted is None:
            raise
        raise _not_followed(accepted, error) from error


def _read(
    file: str | None, workflow: str | None, param: tuple[str, ...], target: tuple[str, ...]
) -> tuple[bytes, str]:
    """Returns the body of the submission (a document, or a released workflow's name) and its media type.

    Raises `CliError` unless exactly one of `file` and `workflow` is given.
    """
    if file is None and workflow is not None:
        return named_submission(workflow, param, target)
    if file is None or workflow is not None:
        raise CliError("say --file FILE, or --workflow NAME of a released one", code=Exit.USAGE)
    return read_document(file, param, target)


def _not_followed(accepted: str, error: CliError) -> CliError:
    """Converts `error` to the `CliError` for a run that was accepted and cannot be followed.

    It has an exit code of its own, so that scripts do not submit the accepted workflow once more.
    """
    message = f"{accepted} was accepted, and cannot be followed: {error.message}"
    hint = f"Do not submit it again: `waypost watch {accepted}` follows it."
    return CliError(message, lines=(*error.lines, hint), code=Exit.NOT_FOLLOWED)


def _print_accepted(answer: dict[str, Any], output: Format, *, watch: bool) -> None:
    """Prints the run that the gateway accepted, or just its id."""
    if output is Format.TABLE:
        console().print(f"{escape(answer['id'])}  {colored(answer['phase'])}")
    elif not watch or output is Format.NAME:
        print_value(answer, output)
    else:
        # Standard output stays one document: the run at its end.
        console(stderr=True).print(f"submitted {answer['id']}", markup=False)
    sys.stdout.flush()


def _print_warnings(response: httpx.Response) -> None:
    """Prints the gateway's warnings about an accepted workflow, on standard error."""
    for warning in response.headers.get_list("warning"):
        text = warning.partition(' - "')[2].removesuffix('"')
        text = re.sub(r"\\(.)", r"\1", text)
        console(stderr=True).print(f"warning: {text}", markup=False)


def _check_key(key: str) -> str:
    """Returns the idempotency key `key` if the gateway would accept it, else raises `CliError`.

    An empty key, from an unset shell variable, would start a second run.
    """
    if not 0 < len(key) <= KEY_MAXIMUM or not (key.isascii() and key.isprintable()) or " " in key:
        raise CliError(f"--key: 1 to {KEY_MAXIMUM} visible ASCII characters", code=Exit.USAGE)
    return key


def _print_plan(plan: dict[str, Any], output: Format) -> None:
    if output is Format.NAME:
        # Nothing is stored, so there is no id: what can be named is the region.
        print_names([plan["region"]] if plan["region"] else [])
        return
    if output is not Format.TABLE:
        print_value(plan, output)
        return
    screen = console()
    place = f"the first shard would go to {plan['region']}" if plan["region"] else plan["unplaceable"]
    screen.print(f"allowed, {format_count(plan['shard_count'], 'shard')}: {place}", markup=False)
    if not plan["region"]:
        screen.print("it would be accepted, and wait until a region fits", markup=False)
    rows = ([r["name"], r["score"] and f"{r['score']:.4f}", r["rejected"]] for r in plan["regions"])
    screen.print(table(["REGION", "SCORE", "NOT TAKEN BECAUSE"], rows))
