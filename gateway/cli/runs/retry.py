"""`waypost retry`: reopens failed or cancelled runs."""

from gateway.cli.arguments import Format, Output, Quiet, RunId, RunIds, Token, Url
from gateway.cli.output import command
from gateway.cli.runs.run_ids import post_to_runs


@command
def retry(
    run: RunId,
    /,
    *more: RunIds,
    output: Output = Format.TABLE,
    quiet: Quiet = False,
    url: Url = None,
    token: Token = None,
) -> int:
    """Retry failed or cancelled runs: tasks that did not succeed run again.

    Goes on after a run that cannot be retried; the exit code is that of the first failure.
    """
    shown = Format.NAME if quiet else output
    return post_to_runs("retry", (run, *more), shown, url=url, token=token)
