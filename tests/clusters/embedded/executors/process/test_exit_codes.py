"""Tests retries by the exit codes of real commands (`retry.on`)."""

import pytest

from clusters.embedded.node import ClusterNode
from tests.clusters.embedded.working_node import finished, process, start
from waypost.workflow.task import Retry

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(("command", "code"), [("exit 75", 75), ("kill -KILL $$", 137)])
async def test_a_retry_may_name_exit_codes(node: ClusterNode, command: str, code: int) -> None:
    """That of a signal is the one that a shell would show."""
    retry = Retry(limit=1, backoff_seconds=0, on=(code,))
    await start(node, process("a", "sh", "-c", command, retry=retry))

    assert (await finished(node))["a"].tries == 2


async def test_other_exit_codes_fail_at_once(node: ClusterNode) -> None:
    retry = Retry(limit=9, backoff_seconds=0, on=(75, "timeout"))
    await start(node, process("a", "sh", "-c", "exit 74", retry=retry))

    assert (await finished(node))["a"].tries == 1
