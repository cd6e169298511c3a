"""`waypost cancel`: cancels a run."""

from gateway.cli.arguments import RunId, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.output import colored, command, console


@command
def cancel(run: RunId, /, *, url: Url = None, token: Token = None) -> None:
    """Cancel a run: nothing more of it starts, and what runs is stopped."""
    with connect(url, token) as client:
        found = read_answer(client.post(api_path("runs", run, "cancel")), "id", "phase")
    console().print(f"{found['id']}  {colored(found['phase'])}")
