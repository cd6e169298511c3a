"""`waypost drain`: cordons a region and waits until no attempt runs there any more."""

import math
import time
from typing import Annotated, Any, Final

import httpx
from cyclopts import Parameter

from gateway.cli.arguments import RegionName, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.connection.retries import attempts
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, format_count
from gateway.cli.regions.operations import print_line

WITHDRAWN_LOOKS: Final = 3
"""The number of checks in a row without the cordon after which the cordon counts as withdrawn.

A gateway that has just been started has not read it yet.
"""
POLL_SECONDS = 1.0
"""The seconds between two checks of a region that is being drained."""


@command
def drain(
    region: RegionName,
    /,
    *,
    timeout: Annotated[
        float | None, Parameter(help="Wait so many seconds at most; the region stays cordoned.")
    ] = None,
    url: Url = None,
    token: Token = None,
) -> int:
    """Cordon a region and wait until nothing runs there any more. Nothing is moved: running work finishes."""
    ends_at = math.inf if timeout is None else time.monotonic() + timeout
    with connect(url, token) as client:
        # Once: asked again, it would undo another operator's `uncordon`.
        left = read_answer(client.post(api_path("regions", region, "drain")), "inflight")["inflight"]
        printed, withdrawn = None, 0
        while (left or withdrawn) and time.monotonic() < ends_at:
            if left != printed:
                printed = left
                print_line(region, f"still there: {format_count(left, 'shard')}")
            time.sleep(POLL_SECONDS)
            seen = _read_region(client, region)
            left, withdrawn = seen["inflight"], 0 if seen["cordoned"] else withdrawn + 1
            if withdrawn >= WITHDRAWN_LOOKS:
                print_line(region, "not drained: somebody has withdrawn the cordon, it takes work again")
                return Exit.FAILED
    if left or withdrawn:
        print_line(region, f"cordoned, but not empty; still there: {format_count(left, 'shard')}")
        return Exit.FAILED
    print_line(region, "drained: it can be stopped")
    return Exit.DONE


def _read_region(client: httpx.Client, name: str) -> Any:
    """Returns the region `name` from the gateway's list of regions; retries while the gateway restarts.

    Raises `CliError` if the list does not have the region.
    """
    for attempt in attempts():
        with attempt:
            found = read_answer(client.get(api_path("regions")), "items")["items"]
    region = next((region for region in found if region["name"] == name), None)
    if region is None:
        raise CliError(f"region {name} is not among this gateway's any more", code=Exit.NOT_FOUND)
    return region
