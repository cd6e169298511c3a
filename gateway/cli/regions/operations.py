"""`post_operation`, which calls the gateway to cordon, drain or otherwise operate a region."""

from typing import Any

from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.output import console


def post_operation(region: str, operation: str, url: str | None, token: str | None) -> Any:
    """Requests an operation on `region` from the gateway, and returns the decoded response.

    `operation` is the last part of the path, such as `cordon` or `drain`. Raises `CliError` if the
    gateway refuses or does not answer.
    """
    with connect(url, token) as client:
        return read_answer(client.post(api_path("regions", region, operation)), "region")


def print_line(region: str, text: str) -> None:
    console().print(f"{region}: {text}", markup=False)
