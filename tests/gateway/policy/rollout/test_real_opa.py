"""Tests the whole life of bundles with real OPAs that decide and try bundles out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest
from loguru import logger
from msgspec import structs
from starlette.applications import Starlette

from gateway.api.internal.policy_bundle import (
    CANDIDATE_PATH,
    CANDIDATE_STATUS_PATH,
    PATH,
    bundle_route,
    status_route,
)
from gateway.core.errors import Conflict, Invalid
from gateway.policy.opa.address import parse_address
from gateway.policy.opa.bundle_feed import BundleFeed
from gateway.policy.opa.engine import OpaPolicyEngine
from gateway.policy.rollout.bundle_engines import FedOpa, OpaEngines
from gateway.policy.rollout.bundle_gate import BundleGate
from gateway.policy.rollout.bundle_place import BundlePlace
from gateway.policy.rollout.bundle_states import BundleState, Share, Step
from gateway.policy.rollout.chosen_engine import ChosenEngine
from gateway.policy.rollout.held_bundle import LATE_LOOKS, HeldBundleWatch
from gateway.policy.rollout.rollout import BundleRollout
from tests.conformance.policy_engine import PRINCIPAL, submission
from tests.gateway.policy.opa.keys import VERIFIES
from tests.gateway.policy.opa.polling_opa import polling_opa
from tests.gateway.policy.rollout.releases import ADA, InThisProcess, Opened, archive, quick_shadow, rules
from tests.gateway.store.sqlite.new_store import store_at
from tests.integration.waiting import until
from tests.opa_fixture import needs_opa, opa_with
from waypost.serving import Server

pytestmark = needs_opa


class WithOpa(Opened):
    """A rollout with two OPAs: one that decides, and one that tries bundles out."""

    deciding: FedOpa
    candidate: FedOpa


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[WithOpa]:
    async with with_opa(tmp_path, trials=True) as gateway:
        yield gateway


@asynccontextmanager
async def with_opa(tmp_path: Path, *, trials: bool) -> AsyncIterator[WithOpa]:
    """`trials`: the rollout knows the OPA that tries bundles out."""
    feed, candidate_feed = BundleFeed(), BundleFeed()
    gate = BundleGate(key=VERIFIES, unsigned=False, opa=True)
    routes = [
        *(bundle_route(feed), status_route(feed)),
        bundle_route(candidate_feed, CANDIDATE_PATH),
        status_route(candidate_feed, CANDIDATE_STATUS_PATH),
    ]
    async with Server(Starlette(routes=routes), host="127.0.0.1", port=0) as server:
        first = polling_opa(tmp_path / "opa", server.port, PATH)
        second = polling_opa(tmp_path / "candidate", server.port, CANDIDATE_PATH, partition="candidate")
        engines = [OpaPolicyEngine(parse_address(opa.engine), deadline_seconds=10) for opa in (first, second)]
        deciding, candidate = FedOpa(engines[0], feed), FedOpa(engines[1], candidate_feed)
        async with (
            store_at(tmp_path / "gateway.db") as store,
            ChosenEngine(engines[0], [engines[1]]) as chosen,
            BundleRollout(
                store,
                gate,
                uploads=InThisProcess(gate),
                engines=OpaEngines(deciding, candidate if trials else None),
                chosen=chosen,
                make_shadow=quick_shadow,
                approval_seconds=60,
            ) as rollout,
        ):
            opened = WithOpa(store, chosen, rollout)
            opened.deciding, opened.candidate = deciding, candidate
            await rollout.upload(archive(1), ADA)
            # An OPA starts when it has a bundle, and the step waits for one that has it.
            activated = asyncio.create_task(opened.step(Step.ACTIVATE, 1))
            await until(lambda: _served(feed))
            async with first, second if trials else nullcontext():
                await activated
                yield opened
                # OPA's long polls end before the server does.
                await feed.__aexit__()
                await candidate_feed.__aexit__()


async def _served(feed: BundleFeed) -> bool:
    return feed.current is not None


async def decided(gateway: WithOpa, tenant: str = "payments") -> str:
    question = structs.replace(submission(), principal=structs.replace(PRINCIPAL, tenant=tenant))
    decision = await gateway.chosen.decide(question)
    assert (decision.fault, decision.engine) == ("", "opa")
    return decision.rules[0]


async def test_a_bundle_is_served_tried_out_activated_and_rolled_back(gateway: WithOpa) -> None:
    """Each step is answered when OPA holds its bundle: the next decision is by it."""
    assert await decided(gateway) == "b1"
    await gateway.rollout.upload(archive(2), ADA)
    await gateway.step(Step.SHADOW, 2)
    assert await decided(gateway) == "b1"

    async def compared() -> bool:
        counts = gateway.rollout.shadow_counts(2)
        return counts is not None and counts.flips == {"changed": 1}

    await until(compared)
    await gateway.step(Step.CANARY, 2, share=Share(tenants=("payments",)))
    assert (await decided(gateway), await decided(gateway, "research")) == ("b2", "b1")
    await gateway.step(Step.ACTIVATE, 2)
    assert (await decided(gateway), await decided(gateway, "research")) == ("b2", "b2")
    await gateway.step(Step.ROLL_BACK, 2)
    assert await decided(gateway) == "b1"
    with pytest.raises(Conflict, match="the only one"):
        await gateway.step(Step.ROLL_BACK, 1)


async def test_what_opa_cannot_compile_is_refused_or_reported(
    gateway: WithOpa, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a trial before anybody is decided by it; else OPA goes on with the last, and the log says why."""
    broken = rules("b2") | {"x.rego": "package waypost.house\n\nx := z\n"}
    await gateway.rollout.upload(archive(2, broken, engine="opa"), ADA)
    with pytest.raises(Invalid, match="does not take the bundle") as refused:
        await gateway.step(Step.SHADOW, 2)
    assert "x.rego:3" in refused.value.errors[0].detail
    found = gateway.rollout.current.release(2)
    assert found is not None and found.state is BundleState.GATED

    with pytest.raises(Invalid, match="does not take the bundle"):
        await gateway.step(Step.ACTIVATE, 2)
    monkeypatch.setattr("gateway.policy.rollout.bundle_engines.LOOKS", 1)
    await gateway.step(Step.ACTIVATE, 2, wait=False)
    assert await decided(gateway) == "b1"
    logged: list[str] = []
    sink = logger.add(logged.append, format="{message}", level="ERROR")
    watch = HeldBundleWatch(gateway.deciding)

    async def reported() -> bool:
        return bool(gateway.deciding.feed.trouble)

    await until(reported)
    for _ in range(2 * LATE_LOOKS):
        await watch.look()
    logger.remove(sink)
    assert len(logged) == 1 and "x.rego:3" in logged[0] and "goes on with revision" in logged[0]
    await gateway.step(Step.ROLL_BACK, 2)
    assert await decided(gateway) == "b1"


BROKEN = rules("b2") | {"x.rego": "package waypost.house\n\nx := z\n"}


async def test_without_an_opa_for_trials_the_one_that_decides_compiles_a_bundle_before_it_is_active(
    tmp_path: Path,
) -> None:
    """What it cannot compile is refused with file and line, and never Active; it goes on with the last."""
    async with with_opa(tmp_path, trials=False) as gateway:
        await gateway.rollout.upload(archive(2, BROKEN, engine="opa"), ADA)
        with pytest.raises(Invalid, match="OPA does not take the bundle") as refused:
            await gateway.step(Step.ACTIVATE, 2)
        assert "x.rego:3" in refused.value.errors[0].detail
        found = gateway.rollout.current.release(2)
        assert found is not None and found.state is BundleState.GATED
        served = gateway.deciding.feed.current
        assert served is not None and served.manifest.sequence == 1
        assert await decided(gateway) == "b1"

        await gateway.rollout.upload(archive(3, engine="opa"), ADA)
        await gateway.step(Step.ACTIVATE, 3)
        assert await decided(gateway) == "b3"


async def test_a_file_s_bundle_for_opa_alone_is_compiled_before_it_is_active(tmp_path: Path) -> None:
    """Also after a restart: what OPA cannot compile is refused again, and never Active."""
    outcomes: list[str] = []

    def state(gateway: WithOpa, sequence: int) -> BundleState:
        found = gateway.rollout.current.release(sequence)
        assert found is not None
        return found.state

    async with with_opa(tmp_path, trials=False) as gateway:
        file = tmp_path / "policy.tar.gz"
        file.write_bytes(archive(2, BROKEN, engine="opa"))
        for _ in ("a start", "a restart"):
            place = BundlePlace(file, gateway.rollout, clock=lambda: 1.0, on_outcome=outcomes.append)
            async with place:
                assert (outcomes, state(gateway, 2)) == ([], BundleState.GATED)
                await place.look()
            assert (outcomes, state(gateway, 2)) == (["Refused"], BundleState.GATED)
            assert await decided(gateway) == "b1"
            outcomes.clear()

        file.write_bytes(archive(3, engine="opa"))
        async with BundlePlace(file, gateway.rollout, clock=lambda: 1.0, on_outcome=outcomes.append) as place:
            await place.look()
        assert (outcomes, state(gateway, 3)) == (["Activated"], BundleState.ACTIVE)
        assert await decided(gateway) == "b3"


async def test_a_bundle_whose_activation_cannot_be_stored_is_taken_back_from_opa(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing decides for long that no record names."""

    async def fail(*_: object, **__: object) -> bool:
        raise OSError("the disk is full")

    async with with_opa(tmp_path, trials=False) as gateway:
        await gateway.rollout.upload(archive(2, engine="opa"), ADA)
        with monkeypatch.context() as patch:
            patch.setattr(gateway.store, "write_rollout", fail)
            with pytest.raises(OSError, match="disk is full"):
                await gateway.step(Step.ACTIVATE, 2)

        async def again() -> bool:
            return await decided(gateway) == "b1"

        await until(again)


async def test_an_opa_that_does_not_fetch_takes_no_bundle_for_opa_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on with its own; the step is refused, and nothing is left in the feed."""
    monkeypatch.setattr("gateway.policy.rollout.bundle_engines.LOOKS", 2)
    gate, feed = BundleGate(key=VERIFIES, unsigned=False, opa=True), BundleFeed()
    own = gate.read(archive(0)).bundle
    async with (
        opa_with(tmp_path, own) as opa,
        store_at(tmp_path / "gateway.db") as store,
        ChosenEngine(engine := OpaPolicyEngine(parse_address(opa.engine), deadline_seconds=10)) as chosen,
        BundleRollout(
            store,
            gate,
            uploads=InThisProcess(gate),
            engines=OpaEngines(FedOpa(engine, feed), None),
            chosen=chosen,
            make_shadow=quick_shadow,
            approval_seconds=60,
        ) as rollout,
    ):
        gateway = Opened(store, chosen, rollout)
        await rollout.upload(archive(1, engine="opa"), ADA)
        with pytest.raises(Invalid, match="OPA does not take the bundle"):
            await gateway.step(Step.ACTIVATE, 1)
        found = rollout.current.release(1)
        assert found is not None and found.state is BundleState.GATED
        assert feed.current is None
