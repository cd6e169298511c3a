"""`waypost cancel`: cancels runs."""

from typing import Any

from gateway.cli.arguments import Format, Output, Quiet, RunId, RunIds, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.output import command
from gateway.cli.runs.run_ids import for_each_run


@command
def cancel(
    run: RunId,
    /,
    *more: RunIds,
    output: Output = Format.TABLE,
    quiet: Quiet = False,
    url: Url = None,
    token: Token = None,
) -> int:
    """Cancel runs: nothing more of them starts, and what runs is stopped.

    Goes on after a run that cannot be; the exit code is that of the first failure.
    """
    with connect(url, token) as client:

        def act(found: str) -> Any:
            return read_answer(client.post(api_path("runs", found, "cancel")), "id", "phase")

        return for_each_run(client, (run, *more), act, Format.NAME if quiet else output)
