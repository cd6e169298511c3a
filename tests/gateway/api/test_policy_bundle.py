"""Tests the policy bundle on the internal port, as a real OPA fetches it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from gateway.api.internal.policy_bundle import CONTENT_TYPE, PATH, REPORT_MAXIMUM, bundle_route, status_route
from gateway.policy.bundle import Bundle
from gateway.policy.opa.address import parse_address
from gateway.policy.opa.bundle_archive import manifest_of, pack_bundle, unpack
from gateway.policy.opa.bundle_feed import BundleFeed, ServedBundle
from gateway.policy.opa.bundle_signature import sign
from gateway.policy.opa.engine import OpaPolicyEngine
from tests.conformance.policy_engine import ALLOW, submission
from tests.gateway.policy.opa.keys import SIGNS
from tests.gateway.policy.opa.polling_opa import polling_opa
from tests.gateway.policy.opa.test_bundle_feed import served
from tests.integration.waiting import until
from tests.opa_fixture import bundle_of, needs_opa
from waypost.serving import Server


def signed(bundle: Bundle, sequence: int) -> ServedBundle:
    archive = sign(pack_bundle(bundle, sequence=sequence), SIGNS)
    return ServedBundle(archive=archive, manifest=manifest_of(unpack(archive)))


@pytest.fixture
async def feed() -> AsyncIterator[BundleFeed]:
    async with BundleFeed() as feed:
        feed.serve(served(7))
        yield feed


@pytest.fixture
async def opa_side(feed: BundleFeed) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Starlette(routes=[bundle_route(feed), status_route(feed)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


async def test_opa_gets_the_bundle_and_then_only_another_one(
    opa_side: httpx.AsyncClient, feed: BundleFeed
) -> None:
    """By entity tag; the content type is what makes OPA poll long."""
    first = await opa_side.get(PATH, headers={"prefer": "modes=snapshot,delta;wait=30"})
    assert (first.status_code, first.headers["content-type"]) == (200, CONTENT_TYPE)
    assert feed.current is not None and first.content == feed.current.archive
    known = {"if-none-match": first.headers["etag"]}
    assert (await opa_side.get(PATH, headers=known)).status_code == 304

    waiting = asyncio.create_task(opa_side.get(PATH, headers={**known, "prefer": "modes=snapshot;wait=30"}))
    await asyncio.sleep(0)
    feed.serve(served(8))
    async with asyncio.timeout(20):
        second = await waiting
    assert second.status_code == 200 and second.headers["etag"] != first.headers["etag"]


async def test_a_gateway_without_a_bundle_says_so() -> None:
    """An OPA that is set up to ask the wrong gateway keeps what it has."""
    async with BundleFeed() as feed:
        transport = httpx.ASGITransport(Starlette(routes=[bundle_route(feed)]))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            assert (await client.get(PATH)).status_code == 404


async def test_what_opa_reports_is_kept_until_it_gets_another_bundle(
    opa_side: httpx.AsyncClient, feed: BundleFeed
) -> None:
    """On the port inside; what is no report, or too large, is refused."""
    report = {"bundles": {"policy": {"code": "bundle_error", "message": "no"}}}
    assert (await opa_side.post("/status", json=report)).status_code == 204
    assert feed.trouble == "no"
    assert (await opa_side.post("/status", content=b"x")).status_code == 400
    assert (await opa_side.post("/status", content=b" " * (REPORT_MAXIMUM + 1))).status_code == 413
    assert feed.trouble == "no"
    feed.serve(served(8))
    assert feed.trouble == ""


@needs_opa
async def test_an_opa_takes_each_release_and_decides_by_it(tmp_path: Path, feed: BundleFeed) -> None:
    """Signed, by long polling."""
    feed.serve(signed(first := bundle_of(ALLOW), 8))
    routes = [bundle_route(feed), status_route(feed)]
    async with Server(Starlette(routes=routes), host="127.0.0.1", port=0) as server:
        opa = polling_opa(tmp_path / "opa", server.port, PATH)
        async with opa, OpaPolicyEngine(parse_address(opa.engine), deadline_seconds=10) as engine:
            assert (await engine.decide(submission())).revision == first.revision
            second = bundle_of('decision := {"allow": false, "rules": [], "reasons": [], "obligations": {}}')
            feed.serve(signed(second, 9))

            async def holds_the_second() -> bool:
                decision = await engine.decide(submission())
                return (decision.revision, decision.allow, decision.fault) == (second.revision, False, "")

            assert await until(holds_the_second)
