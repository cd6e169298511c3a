"""Tests the limit of open streams, and that a stream that ends frees its place."""

from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest
from msgspec import structs
from starlette.responses import Response

from gateway.api.http.responses import ClosingResponse
from gateway.api.http.services import Services
from gateway.api.http.stream_limits import StreamLimiter
from gateway.api.routes import api
from gateway.core.errors import TooManyRequests, Unavailable
from gateway.settings import RequestSettings
from gateway.store.interface import Store
from tests.gateway.api.test_logs import started

Document = dict[str, Any]


@pytest.fixture
async def run(client: httpx.AsyncClient, document: Document) -> str:
    return str((await client.post("/v1/runs", json=document)).json()["id"])


def limited(services: Services, **limits: int) -> httpx.AsyncClient:
    narrow = structs.replace(
        services,
        settings=structs.replace(services.settings, requests=RequestSettings(**limits)),
        streams=StreamLimiter(),
    )
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(api(narrow)),
        base_url="http://gateway",
        headers={"authorization": "Bearer payments.ada"},
    )


@pytest.mark.parametrize("path", ["events", "logs?task=a&follow=true"])
@pytest.mark.parametrize(
    ("limits", "status"), [({"streams_per_tenant": 0}, 429), ({"streams_maximum": 0}, 503)]
)
async def test_streams_have_a_bound(
    services: Services, store: Store, run: str, path: str, limits: dict[str, int], status: int
) -> None:
    """Each costs memory and a share of every change: one tenant's must not take those of all."""
    await started(store, run, "beijing", 1)
    async with limited(services, **limits) as client:
        answer = await client.get(f"/v1/runs/{run}/{path}")

    assert (answer.status_code, answer.json()["retryable"]) == (status, True)
    assert int(answer.headers["retry-after"]) >= 1


def test_a_tenants_streams_are_its_own() -> None:
    """Another tenant still has its places, until all of them are taken."""
    streams, limits = StreamLimiter(), RequestSettings(streams_per_tenant=2, streams_maximum=3)
    with ExitStack() as places:
        for _ in range(2):
            places.enter_context(streams.slot("payments", limits))
        with pytest.raises(TooManyRequests):
            places.enter_context(streams.slot("payments", limits))
        places.enter_context(streams.slot("science", limits))
        with pytest.raises(Unavailable):
            places.enter_context(streams.slot("research", limits))
    with streams.slot("payments", limits):
        pass


def test_who_has_no_stream_finds_a_place_however_many_others_have() -> None:
    """Four tenants with all that they may have would shut out the fifth."""
    streams, limits = StreamLimiter(), RequestSettings(streams_per_tenant=32, streams_maximum=120)
    with ExitStack() as places:
        for tenant in ("a", "b", "c", "d"):
            for _ in range(40):
                with suppress(TooManyRequests, Unavailable):
                    places.enter_context(streams.slot(tenant, limits, among="beijing"))
        places.enter_context(streams.slot("e", limits, among="beijing"))
        for _ in range(32):
            places.enter_context(streams.slot("a", limits, among="shanghai"))


class Broken(Response):
    """A response whose client has disconnected."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise ConnectionError


async def test_a_place_is_given_back_however_a_stream_ends() -> None:
    """A reader that is gone before the first byte holds nothing either."""
    streams, limits, places = StreamLimiter(), RequestSettings(streams_per_tenant=1), ExitStack()
    places.enter_context(streams.slot("payments", limits))
    response = ClosingResponse(Broken(), places.close)
    with pytest.raises(ConnectionError):
        await response({}, None, None)  # type: ignore[arg-type]  # nothing is sent

    with streams.slot("payments", limits):
        pass
