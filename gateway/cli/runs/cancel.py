"""`waypost cancel`: cancels runs."""

from gateway.cli.arguments import Format, Output, Quiet, RunId, RunIds, Token, Url
from gateway.cli.output import command
from gateway.cli.runs.run_ids import post_to_runs


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
    """Cancel runs: no more of their tasks start, running tasks are stopped; then their `finally` runs.

    Cancelled again while `finally` runs, that is stopped too. Goes on after a run that cannot be cancelled;
    the exit code is that of the first failure.
    """
    shown = Format.NAME if quiet else output
    return post_to_runs("cancel", (run, *more), shown, url=url, token=token)
