"""Finds the run that a command names (by id, by the beginning of an id, or as `@latest`).

Also calls one API operation for each of several runs.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import httpx
from rich.markup import escape

from gateway.cli.arguments import Format
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.connection.own_token import subject_of
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import colored, console, print_error, print_value

LATEST: Final = "@latest"
PREFIX: Final = re.compile(r"[0-9a-f]{1,27}")
"""Matches text that may be the beginning of a run id but is not a whole id."""
SHOWN_RUNS: Final = 5
LOOKED_AT: Final = 200
"""The number of newest runs among which the caller's newest is looked for."""


def resolve_run(client: httpx.Client, name: str) -> str:
    """Returns the id of the run that `name` means: an id, the beginning of exactly one, or `@latest`.

    Raises `CliError` where the ids of several runs begin so, or where there is no newest run. An unknown id
    is returned as it is, for the gateway to refuse.
    """
    if name == LATEST:
        return _latest(client)
    if name.startswith("@"):
        raise CliError(f"{name} names no run: did you mean {LATEST}?", code=Exit.USAGE)
    if not PREFIX.fullmatch(name):
        return name
    found = _list_runs(client, {"id": name, "limit": SHOWN_RUNS + 1})
    if len(found) > 1:
        more = ("...",) if len(found) > SHOWN_RUNS else ()
        lines = (*(f"{run['id']}  {run['name']}  {run['phase']}" for run in found[:SHOWN_RUNS]), *more)
        raise CliError(f"{name} is the beginning of more than one run's id", lines=lines, code=Exit.USAGE)
    return str(found[0]["id"]) if found else name


def post_to_runs(
    verb: str, names: Sequence[str], output: Format, *, url: str | None, token: str | None
) -> Exit:
    """Calls the API operation `verb` for every run in `names`, and prints each result.

    Goes on after a failure. Returns the exit code of the first failure.
    """
    code, answers = Exit.DONE, []
    with connect(url, token) as client:
        for name in names:
            try:
                path = api_path("runs", resolve_run(client, name), verb)
                answers.append(read_answer(client.post(path), "id", "phase"))
            except CliError as error:
                subject = f"{name}: {error.message}" if len(names) > 1 else error.message
                failed = print_error(CliError(subject, lines=error.lines, code=error.code))
                code = code or failed
                continue
            if output is Format.TABLE:
                console().print(f"{escape(answers[-1]['id'])}  {colored(answers[-1]['phase'])}")
    if output is not Format.TABLE:
        print_value(answers, output)
    return code


def _latest(client: httpx.Client) -> str:
    """Returns the id of the newest run that the caller, by the token's subject, has submitted.

    It is the newest run of anybody if the token cannot be parsed. Raises `CliError` if none of the
    `LOOKED_AT` newest runs is the caller's.
    """
    token = client.headers.get("authorization", "").partition(" ")[2]
    subject = subject_of(token)
    found = _list_runs(client, {"limit": LOOKED_AT})
    own = [run for run in found if subject in (None, run["subject"])]
    if own:
        return str(own[0]["id"])
    if not found:
        raise CliError(f"{LATEST}: there is no run yet that you may see", code=Exit.NOT_FOUND)
    newest = f"The newest that you may see is {found[0]['id']}, by {found[0]['subject']}."
    message = f"{LATEST}: none of the newest runs was submitted by {subject}"
    raise CliError(message, lines=(newest,), code=Exit.NOT_FOUND)


def _list_runs(client: httpx.Client, query: dict[str, str | int]) -> list[dict[str, Any]]:
    return list(read_answer(client.get(api_path("runs"), params=query), "items")["items"])
