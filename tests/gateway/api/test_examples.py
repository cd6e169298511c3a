"""Tests that the example calls in docs/api.md work."""

import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import structs

from gateway.api.http.problems import Problem
from gateway.regions.region_condition import RegionCondition, Taint
from gateway.regions.region_view import RegionView
from gateway.store.interface import Store
from tests.gateway.api.test_events import end

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "api.md").read_text()
CALLS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]


def request(client: httpx.AsyncClient, words: list[str], run: str) -> httpx.Request:
    """Builds the request that a curl command would send, about `run` where it names a run."""
    method, content = "GET", None
    headers: dict[str, str] = {}
    arguments = iter(words[1:])
    url = ""
    for word in arguments:
        match word:
            case "-X":
                method = next(arguments)
            case "-H":
                name, _, value = next(arguments).partition(": ")
                headers |= {} if name == "$AUTH" else {name: value}
            case "--data-binary":
                method, content = "POST", (ROOT / next(arguments).removeprefix("@")).read_bytes()
            case "-i" | "-N":
                pass
            case _:
                url = word
    return client.build_request(
        method,
        url.replace("$URL", "").replace("$RUN", run).replace("$DECISION", "d1"),
        headers=headers,
        content=content,
    )


@pytest.fixture
async def run(client: httpx.AsyncClient) -> str:
    """Sends the first example, and returns the id of the run that it creates."""
    answer = await client.send(request(client, next(words for words in CALLS if words[0] == "curl"), ""))
    assert answer.status_code == 202
    return str(answer.json()["id"])


@pytest.mark.parametrize(
    "words", [words for words in CALLS if words and words[0] == "curl"], ids=lambda words: words[-1]
)
async def test_every_call_in_the_documentation_works(
    client: httpx.AsyncClient, store: Store, run: str, views: list[RegionView], words: list[str]
) -> None:
    """A reader pastes what is shown.

    What has not started has no log, and what runs cannot be retried: both are good answers.
    """
    views[0] = structs.replace(
        views[0], taints=frozenset({Taint.CORDONED})
    )  # as the controller makes it, once it has heard
    if words[-1].endswith(("/replace", "/forget")):
        views[0] = structs.replace(views[0], condition=RegionCondition.UNREACHABLE)
    if words[-1].endswith("/events"):
        await end(store, run)  # else it would be followed for as long as it takes
    sent = request(client, words, run)
    answer = await client.send(sent)

    assert answer.is_success or (answer.status_code, sent.url.path.rpartition("/")[2]) in (
        (404, "logs"),
        (409, "retry"),
    )


def test_the_problem_in_the_documentation_is_one() -> None:
    """With the fields that problems have."""
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    problem: dict[str, Any] = msgspec.json.decode(text)

    assert msgspec.json.decode(msgspec.json.encode(msgspec.convert(problem, Problem))) == problem
