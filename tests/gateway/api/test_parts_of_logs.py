"""Tests reading a part of a task's log through the API: its last lines, those since a time, with times."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from clusters.errors import ClusterError
from clusters.protocol import AttemptId, LogChunk
from gateway.api.http.services import Services
from gateway.store.interface import Store
from tests.gateway.api.test_logs import Region, placed_in, started, with_clusters
from waypost.workflow.task_phase import TaskPhase

Document = dict[str, Any]


@pytest.fixture
async def run(client: httpx.AsyncClient, document: Document) -> str:
    return str((await client.post("/v1/runs", json=document)).json()["id"])


class TimedRegion(Region):
    """A fake region whose cluster says when a log was written: each text at the time of its number."""

    async def timed_logs(
        self, attempt: AttemptId, task: str, *, offset: int, follow: bool
    ) -> AsyncIterator[LogChunk]:
        at = 0
        for number, text in enumerate(self.written[attempt.epoch]):
            at += len(text)
            if at > offset:
                yield LogChunk(text=text, offset=at, written_at=float(number))


ONE, TWO = "1970-01-01T00:00:00.000Z one\n", "1970-01-01T00:00:01.000Z two\n"


@pytest.mark.parametrize(
    ("query", "timed", "untimed"),
    [
        ("timestamps=true", ONE + TWO, "- one\n- two\n"),
        ("since=1", "two\n", "one\ntwo\n"),
        ("since=1&timestamps=true&tail=5", TWO, "- one\n- two\n"),
        ("since=9", "", "one\ntwo\n"),
        ("tail=1", "two\n", "two\n"),
        ("tail=0", "", ""),
        ("tail=1&timestamps=true", TWO, "- two\n"),
        ("tail=1&offset=4", "two\n", "two\n"),
    ],
)
@pytest.mark.parametrize("more", ["", "&attempt=1", "&follow=true"])
async def test_a_part_of_a_log_is_read_with_its_times(
    services: Services, store: Store, run: str, query: str, timed: str, untimed: str, more: str
) -> None:
    """A cluster of an earlier version knows no times: nothing is taken for old then."""
    await started(store, run, "beijing", 1, TaskPhase.SUCCEEDED, history=(placed_in(run, "beijing", 1),))
    written = {1: ["one\n", "two\n"]}
    for region, text in ((TimedRegion(written), timed), (Region(written), untimed)):
        async with with_clusters(services, beijing=region) as client:
            answer = await client.get(f"/v1/runs/{run}/logs?task=a&{query}{more}")
        assert (answer.status_code, answer.text) == (200, text)


async def test_programs_get_the_time_of_each_piece(services: Services, store: Store, run: str) -> None:
    """In seconds since 1970, beside the text."""
    await started(store, run, "beijing", 1)
    async with with_clusters(services, beijing=TimedRegion({1: ["one\n", "two\n"]})) as client:
        answer = await client.get(
            f"/v1/runs/{run}/logs?task=a&timestamps=true&tail=1", headers={"accept": "application/x-ndjson"}
        )
    assert msgspec.json.decode(answer.content) == {
        "region": "beijing",
        "epoch": 1,
        "text": "two\n",
        "offset": 8,
        "written_at": 1.0,
    }


async def test_the_next_attempt_is_followed_from_its_beginning(
    services: Services, store: Store, run: str
) -> None:
    """Its last lines were not asked for: all of them are new. With `attempt` it is not followed at all."""
    await started(store, run, "beijing", 1, history=(placed_in(run, "beijing", 1),))
    beijing, shanghai = Region({1: ["one\n", "two\n"]}), TimedRegion({2: ["again\n", "done\n"]})
    async with with_clusters(services, beijing=beijing, shanghai=shanghai) as client:
        url = f"/v1/runs/{run}/logs?task=a&follow=true&tail=1&timestamps=true"
        following = [asyncio.create_task(client.get(f"{url}{more}")) for more in ("", "&attempt=1")]
        for _ in range(20):
            await asyncio.sleep(0)
        await started(store, run, "shanghai", 2, TaskPhase.SUCCEEDED)
        answers = [(await asyncio.wait_for(one, 10)).text for one in following]

    again = "1970-01-01T00:00:00.000Z again\n1970-01-01T00:00:01.000Z done\n"
    assert answers == [f"- two\n{again}", "- two\n"]


async def test_the_last_lines_of_a_log_that_is_not_there_yet_are_followed(
    services: Services, store: Store, run: str
) -> None:
    """A task that has begun and has written nothing: its first words are new."""

    class Silent(Region):
        async def logs(
            self, attempt: AttemptId, task: str, *, offset: int, follow: bool
        ) -> AsyncIterator[LogChunk]:
            if not follow:
                raise ClusterError("NotFound")
            yield LogChunk(text="first\n", offset=6)

    await started(store, run, "beijing", 1, TaskPhase.SUCCEEDED)
    async with with_clusters(services, beijing=Silent({})) as client:
        url = f"/v1/runs/{run}/logs?task=a&tail=1"
        answers = [await client.get(f"{url}{more}") for more in ("", "&follow=true")]
    assert [answer.status_code for answer in answers] == [404, 200]
    assert answers[1].text == "first\n"
