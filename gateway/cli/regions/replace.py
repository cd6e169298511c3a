"""`waypost replace`: gives up the journal of a region's cluster, and admits another journal there."""

from gateway.cli.arguments import RegionName, Token, Url
from gateway.cli.output import command
from gateway.cli.regions.operations import post_operation, print_line


@command
def replace(region: RegionName, /, *, url: Url = None, token: Token = None) -> None:
    """Let a region's cluster come back with a new journal (its stored state), because the old one is lost.

    Use it when the cluster's disk is lost. The next cluster that answers at the region's URL is accepted,
    and its journal is the region's from then on. The shards that ran on the old journal count as lost.
    """
    post_operation(region, "replace", url, token)
    print_line(region, "the next journal that answers is admitted")
