"""`waypost forget`: gives up an unreachable region, so that its shards are placed elsewhere."""

from gateway.cli.arguments import RegionName, Token, Url
from gateway.cli.output import command, format_count
from gateway.cli.regions.operations import post_operation, print_line


@command
def forget(region: RegionName, /, *, url: Url = None, token: Token = None) -> None:
    """Give up an unreachable region: its shards are placed elsewhere.

    The region is taken back when it answers again.
    """
    left = post_operation(region, "forget", url, token)["inflight"]
    print_line(region, f"given up; placed again: {format_count(left, 'shard')}")
