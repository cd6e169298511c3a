"""What the commands on one region share: the call of the gateway, and the line that each prints."""

from typing import Any

from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.output import console


def post_operation(region: str, operation: str, url: str | None, token: str | None) -> Any:
    """Has the gateway do `operation` (the last part of its path:

    `cordon`, `drain` ...) and returns its answer.
    """
    with connect(url, token) as client:
        return read_answer(client.post(api_path("regions", region, operation)), "region")


def print_line(region: str, text: str) -> None:
    """Prints `text` about `region`."""
    console().print(f"{region}: {text}", markup=False)
