"""`waypost drain`: cordons a region and waits until nothing runs there any more."""

import math
import time
from typing import Annotated

from cyclopts import Parameter

from gateway.cli.arguments import RegionName, Token, Url
from gateway.cli.errors import Exit
from gateway.cli.output import command, format_count
from gateway.cli.regions.operations import post_operation, print_line

POLL_SECONDS = 1.0
"""Seconds between two looks at a region that is being drained."""


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
    """Cordon a region and wait until nothing runs there any more. Nothing is moved: what runs finishes."""
    ends_at = math.inf if timeout is None else time.monotonic() + timeout
    printed = None
    # The same call again for each look: a cordon that another operator withdrew meanwhile is set again.
    while (left := post_operation(region, "drain", url, token)["inflight"]) and time.monotonic() < ends_at:
        if left != printed:
            printed = left
            print_line(region, f"still there: {format_count(left, 'shard')}")
        time.sleep(POLL_SECONDS)
    if left:
        print_line(region, f"cordoned, but not empty; still there: {format_count(left, 'shard')}")
        return Exit.FAILED
    print_line(region, "drained: it can be stopped")
    return Exit.DONE
