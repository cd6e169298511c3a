"""`waypost regions`: where work can go, and how things stand there."""

import time
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape

from gateway.cli.client import Token, Url, checked, connect
from gateway.cli.output import Format, Output, command, console, painted, seconds, show, table


@command
def regions(*, output: Output = Format.TABLE, url: Url = None, token: Token = None) -> None:
    """List the regions with their condition, latency, load and score."""
    with connect(url, token) as client:
        found = checked(client.get("/v1/regions"))["items"]
    if output is not Format.TABLE:
        show(found, output)
        return
    rows = (
        [
            region["name"],
            painted(region["condition"]),
            seconds(time.time() - region["since"]) if region["since"] else None,
            f"{region['peak_ewma_seconds'] * 1e3:.1f} ms",
            region["inflight"],
            region["free_slots"],
            f"{region['score']:.4f}",
            escape(region["reason"]),
        ]
        for region in found
    )
    console().print(table(["REGION", "CONDITION", "SINCE", "LATENCY", "INFLIGHT", "FREE", "SCORE", "REASON"], rows))


@command
def replace(region: Annotated[str, Parameter(help="Its name.")], /, *, url: Url = None, token: Token = None) -> None:
    """Admit another journal under a region's name: the cluster's old disk is gone for good, and what ran there counts as lost."""
    with connect(url, token) as client:
        checked(client.post(f"/v1/regions/{region}/replace"))
    console().print(f"{region}: the next journal that answers is admitted", markup=False)
