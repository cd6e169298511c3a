"""`waypost regions`: where work can go, and how things stand there."""

import math
import time
from typing import Annotated, Any

from cyclopts import Parameter
from rich.markup import escape

from gateway.cli.client import Exit, Token, Url, checked, connect, path
from gateway.cli.output import Format, Output, command, console, counted, painted, seconds, show, table

POLL_SECONDS = 1.0
"""Between two looks at a region that is being drained."""
Region = Annotated[str, Parameter(help="Its name.")]


@command
def regions(*, output: Output = Format.TABLE, url: Url = None, token: Token = None) -> None:
    """List the regions with their condition, latency, load and score."""
    with connect(url, token) as client:
        answer = checked(client.get(path("regions")), "items")
    found = answer["items"]
    if output is not Format.TABLE:
        show(found, output)
        return
    rows = (
        [
            region["name"],
            ", ".join(
                [painted(region["condition"]), *(mark for mark in ("cordoned", "forgotten") if region[mark])]
            ),
            seconds(time.time() - region["since"]) if region["since"] else None,
            f"{region['peak_ewma_seconds'] * 1e3:.1f} ms",
            region["inflight"],
            region["free_slots"],
            f"{region['score']:.4f}",
            escape(region["reason"]),
        ]
        for region in found
    )
    console().print(
        table(["REGION", "CONDITION", "SINCE", "LATENCY", "INFLIGHT", "FREE", "SCORE", "REASON"], rows)
    )
    if answer.get("cut_off"):
        console().print(
            "this gateway takes itself to be cut off: it moves nothing and queues what comes; look at its own network"
        )


@command
def replace(region: Region, /, *, url: Url = None, token: Token = None) -> None:
    """Admit another journal under a region's name: the cluster's old disk is gone for good, and what ran there counts as lost."""
    _tell(region, "replace", url, token)
    _say(region, "the next journal that answers is admitted")


@command
def cordon(region: Region, /, *, url: Url = None, token: Token = None) -> None:
    """Place no new work in a region. What runs there finishes; `uncordon` undoes it."""
    _say(region, f"cordoned; there now: {counted(_tell(region, 'cordon', url, token)['inflight'], 'shard')}")


@command
def uncordon(region: Region, /, *, url: Url = None, token: Token = None) -> None:
    """Place work in a region again."""
    _tell(region, "uncordon", url, token)
    _say(region, "takes work again")


@command
def drain(
    region: Region,
    /,
    *,
    timeout: Annotated[
        float | None, Parameter(help="Wait so many seconds at most; the region stays cordoned.")
    ] = None,
    url: Url = None,
    token: Token = None,
) -> int:
    """Cordon a region and wait until nothing runs there any more. Nothing is moved: what runs finishes."""
    ends_at = math.inf if timeout is None else time.monotonic() + timeout
    shown = None
    while (left := _tell(region, "drain", url, token)["inflight"]) and time.monotonic() < ends_at:
        if left != shown:
            shown = left
            _say(region, f"still there: {counted(left, 'shard')}")
        time.sleep(POLL_SECONDS)
    _say(
        region,
        f"cordoned, but not empty; still there: {counted(left, 'shard')}"
        if left
        else "drained: it can be stopped",
    )
    return Exit.FAILED if left else Exit.DONE


@command
def forget(region: Region, /, *, url: Url = None, token: Token = None) -> None:
    """Give an unreachable region up: its shards are placed elsewhere, nothing there is waited for. It is taken back when it answers."""
    left = _tell(region, "forget", url, token)["inflight"]
    _say(region, f"given up; placed anew: {counted(left, 'shard')}")


def _tell(region: str, what: str, url: str | None, token: str | None) -> Any:
    with connect(url, token) as client:
        return checked(client.post(path("regions", region, what)), "region")


def _say(region: str, what: str) -> None:
    console().print(f"{region}: {what}", markup=False)
