"""`waypost replace`: admits another cluster journal under the name of a region whose disk is lost."""

from gateway.cli.arguments import RegionName, Token, Url
from gateway.cli.output import command
from gateway.cli.regions.operations import post_operation, print_line


@command
def replace(region: RegionName, /, *, url: Url = None, token: Token = None) -> None:
    """Replace a region's journal (its cluster's state): give it up for good, and admit the next that answers.

    For a cluster whose disk is lost. What ran on the old journal counts as lost.
    """
    post_operation(region, "replace", url, token)
    print_line(region, "the next journal that answers is admitted")
