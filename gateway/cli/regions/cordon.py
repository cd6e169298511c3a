"""`waypost cordon` and `waypost uncordon`: stop placing new work in a region, and place work there again."""

from gateway.cli.arguments import RegionName, Token, Url
from gateway.cli.output import command, format_count
from gateway.cli.regions.operations import post_operation, print_line


@command
def cordon(region: RegionName, /, *, url: Url = None, token: Token = None) -> None:
    """Stop placing new work in a region. Running work finishes; `uncordon` undoes it."""
    inflight = post_operation(region, "cordon", url, token)["inflight"]
    print_line(region, f"cordoned; there now: {format_count(inflight, 'shard')}")


@command
def uncordon(region: RegionName, /, *, url: Url = None, token: Token = None) -> None:
    """Place work in a cordoned region again."""
    cordoned = post_operation(region, "uncordon", url, token)["cordoned"]
    routed = "is cordoned by the routing revision in force: see waypost routing list"
    print_line(region, routed if cordoned else "takes work again")
