"""Tests evidence from Prometheus: one number a query, or none at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import structs

from gateway.rollback.evidence import Evidence, NoEvidence, Shares
from gateway.rollback.interface import Queries
from gateway.rollback.prometheus import Prometheus, other_causes
from tests.gateway.rollback.one_query import queries_in, vector
from tests.gateway.rollback.rollbacks import COUNTED, NOW, ON

SETTINGS = structs.replace(ON, prometheus_url="http://prometheus:9090/base", prometheus_seconds=0.05)
QUERIES = Queries(release="a", release_bad="b", baseline="c", baseline_bad="d")


NUMBERS = {
    "release": "1000",
    "release_bad": "400",
    "baseline": "900.5",
    "baseline_bad": "9",
    "failovers": "0",
    "regions_back": "0",
}


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(body), 10_000):
        yield body[begin : begin + 10_000]


async def asked(answer: Callable[[httpx.Request], Any]) -> Evidence | NoEvidence:
    """Returns the evidence if Prometheus gives this answer to each query."""

    async def handle(request: httpx.Request) -> httpx.Response:
        given = answer(request)
        if asyncio.iscoroutine(given):
            given = await given
        if isinstance(given, tuple):
            status, body = given
            return httpx.Response(status, content=pieces(body))
        return httpx.Response(200, content=pieces(msgspec.json.encode(given)))

    transport = httpx.MockTransport(handle)
    async with Prometheus(SETTINGS, clock=lambda: NOW, transport=transport) as prometheus:
        return await prometheus.evidence(QUERIES, COUNTED, window_seconds=300)


async def test_all_numbers_are_asked_for_at_once() -> None:
    """Under the path that the address has. Two queries may see different scrapes: the bad were more."""
    urls = list[httpx.URL]()

    def answer(request: httpx.Request) -> Any:
        urls.append(request.url)
        return vector(NUMBERS, NOW + 1)

    assert await asked(answer) == Evidence(
        counted=COUNTED,
        release=Shares(total=1000.0, bad=400.0),
        baseline=Shares(total=900.5, bad=9.0),
        failovers=0.0,
        regions_back=0.0,
        clock_offset_seconds=1.0,
    )
    (url,) = urls
    assert (url.path, url.params.get("time")) == ("/base/api/v1/query", None)
    assert queries_in(url.params["query"]) == {**structs.asdict(QUERIES), **other_causes(300)}


async def never(_: httpx.Request) -> Any:
    await asyncio.Event().wait()


def refused(request: httpx.Request) -> Any:
    raise httpx.ConnectError("refused", request=request)


NO_DATA = "Prometheus has no data for release"
NO_NUMBER = "Prometheus has answered no numbers"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda _: vector({}, NOW), NO_DATA),
        (lambda _: vector({"odd": "1"}, NOW), NO_DATA),
        (lambda _: vector(NUMBERS | {"baseline": "many"}, NOW), NO_NUMBER),
        (lambda _: vector(NUMBERS | {"baseline": 7}, NOW), NO_NUMBER),
        (lambda _: {"status": "error", "error": "odd"}, NO_NUMBER),
        (lambda _: (200, b"<html>"), NO_NUMBER),
        (lambda _: (503, b""), "Prometheus has answered 503"),
        (lambda _: (302, b""), "Prometheus has answered 302"),
        (lambda _: (200, b" " * 70_000), "Prometheus has answered more than one number"),
        (refused, "Prometheus does not answer: ConnectError"),
        (never, "Prometheus has not answered in time"),
    ],
)
async def test_what_is_not_one_number_is_no_evidence(answer: Any, why: str) -> None:
    assert await asked(answer) == NoEvidence(why=why)


async def test_a_number_that_is_none_is_handed_on_for_the_gates_to_refuse() -> None:
    found = await asked(lambda _: vector(NUMBERS | {"release": "NaN"}, NOW))
    assert isinstance(found, Evidence)
    assert not found.release.sound
