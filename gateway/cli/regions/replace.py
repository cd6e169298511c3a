"""`waypost replace`: gives up the journal of a region's cluster, and admits another journal there."""

from gateway.cli.arguments import RegionName, Token, Url
from gateway.cli.output import command
from gateway.cli.regions.operations import post_operation, print_line


@command
def replace(region: RegionName, /, *, url: Url = None, token: Token = None) -> None:
    """Give up the journal (the stored state) of a region's cluster, and admit the next that answers.

    Use it for a cluster whose disk is lost. What ran on the old journal counts as lost.
    """
    post_operation(region, "replace", url, token)
    print_line(region, "the next journal that answers is admitted")
