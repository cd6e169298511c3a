"""`waypost regions`: lists the regions with their condition, latency, load and score."""

import time
from typing import Any

from gateway.cli.arguments import Format, Output, Quiet, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.output import Markup, colored, command, console, format_duration, print_value, table


@command
def regions(
    *, output: Output = Format.TABLE, quiet: Quiet = False, url: Url = None, token: Token = None
) -> None:
    """List the regions with their condition, latency, load and score."""
    with connect(url, token) as client:
        answer = read_answer(client.get(api_path("regions")), "items")
    found = answer["items"]
    if quiet or output is not Format.TABLE:
        print_value(found, Format.NAME if quiet else output)
        return
    rows = (
        [
            region["name"],
            _format_condition(region),
            format_duration(time.time() - region["since"]) if region["since"] else None,
            f"{region['peak_ewma_seconds'] * 1e3:.1f} ms",
            region["inflight"],
            region["free_slots"],
            f"{region['score']:.4f}",
            _format_reason(region),
        ]
        for region in found
    )
    console().print(
        table(["REGION", "CONDITION", "SINCE", "LATENCY", "INFLIGHT", "FREE", "SCORE", "REASON"], rows)
    )
    if answer.get("cut_off"):
        console().print(
            "this gateway takes itself to be cut off: it moves nothing, and places new work only where a"
            " region answers; look at its own network"
        )


def _format_condition(region: dict[str, Any]) -> Markup:
    marks = [mark for mark in ("cordoned", "avoided", "forgotten") if region.get(mark)]
    return Markup(", ".join([colored(region["condition"]), *marks]))


def _format_reason(region: dict[str, Any]) -> str:
    """Formats why a region is in its condition, and who or what has cordoned it."""
    by = [region["cordoned_by"]] if region.get("cordoned_by") else []
    if (number := region.get("cordoned_by_routing")) is not None:
        by.append(f"routing {number}")
    if region.get("cordoned") and not by:
        by = ["an operator"]
    cordon = f"cordoned by {' and by '.join(by)}" if by else ""
    return "; ".join(filter(None, (region["reason"], cordon)))
