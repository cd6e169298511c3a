"""`waypost executors`: lists the executors, which run tasks: what they take, and where they are to be had."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from msgspec import Struct

from clusters.embedded.executors.host import HostExecutors, find_executors
from clusters.embedded.executors.interface import ExecutorContext
from clusters.embedded.executors.registry import (
    executor_settings,
    registered_executors,
    third_party_executors,
)
from gateway.cli.arguments import Format, Output, Quiet, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, console, print_value, table

NOT_INSTALLED = "it is not installed here"


@command
def executors(
    name: Annotated[str | None, Parameter(help="This one alone, with the schemas of what it takes.")] = None,
    /,
    *,
    executor: Annotated[
        dict[str, dict[str, str]] | None,
        Parameter(help="A setting, as of `waypost cluster`: --executor.docker.socket=/run/docker.sock."),
    ] = None,
    output: Output = Format.TABLE,
    quiet: Quiet = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """List the executors, each of which runs tasks of one type: whether this host and which regions have it.

    HERE says whether a cluster on this host would have it, with the settings that are given.
    """
    try:
        settings = executor_settings(executor or {})
    except ValueError as error:
        raise CliError(str(error), code=Exit.USAGE) from error
    here = asyncio.run(find_executors(ExecutorContext(region="", workspaces=Path.cwd()), settings))
    found = _described(here, _regions(url, token))
    if name is not None:
        found = [item for item in found if item["name"] == name]
        if not found:
            raise CliError(
                f"there is no executor {name}; `waypost executors` lists them", code=Exit.NOT_FOUND
            )
    if quiet or output is not Format.TABLE:
        print_value(found, Format.NAME if quiet else output)
    elif name is not None:
        print_value(found[0], Format.YAML)
    else:
        _print_table(found)


def _regions(url: str | None, token: str | None) -> Mapping[str, list[str]] | None:
    """Returns the executors of each region as the gateway lists them; None where no gateway says.

    Then the reason goes to standard error: what is installed here can be listed all the same.
    """
    try:
        with connect(url, token) as client:
            items = read_answer(client.get(api_path("regions")), "items")["items"]
    except CliError as error:
        console(stderr=True).print(f"without the regions: {error.message}", markup=False)
        return None
    return {item["name"]: item.get("executors", []) for item in items}


def _described(here: HostExecutors, regions: Mapping[str, list[str]] | None) -> list[dict[str, Any]]:
    """Describes every executor that is installed, broken, or in a region, for `-o json`."""
    known, sources = registered_executors(), third_party_executors().sources
    elsewhere = {name for names in (regions or {}).values() for name in names}
    found = []
    for name in sorted({*known, *here.unavailable, *elsewhere}):
        entry, reason = known.get(name), here.unavailable.get(name, "")
        found.append(
            {
                "name": name,
                "exclusive": None if entry is None else entry.exclusive,
                "from": sources.get(name, "waypost" if entry is not None else None),
                "available": name in here.available,
                "reason": reason or ("" if entry is not None else NOT_INSTALLED),
                "regions": None
                if regions is None
                else sorted(region for region, names in regions.items() if name in names),
                "run": None if entry is None else _schema(entry.run_type),
                "settings": None if entry is None else _schema(entry.settings),
            }
        )
    return found


def _schema(declared: type[Struct]) -> dict[str, Any] | None:
    """Returns the JSON Schema of a type; None for a type of another package for which msgspec has none."""
    try:
        return msgspec.json.schema(declared)
    except TypeError:
        return None


def _print_table(found: list[dict[str, Any]]) -> None:
    rows = (
        [
            item["name"],
            None if item["exclusive"] is None else "yes" if item["exclusive"] else "no",
            item["from"],
            "yes" if item["available"] else "no",
            None if item["regions"] is None else ", ".join(item["regions"]) or "none",
            item["reason"],
        ]
        for item in found
    )
    console().print(table(["EXECUTOR", "EXCLUSIVE", "FROM", "HERE", "REGIONS", "REASON"], rows))
