"""Tests which policy engine decides in a gateway, from its start and by a bundle."""

import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest

from gateway.composition import policy as composition
from gateway.composition.policy import POLICY_ENGINES, PolicyEngineKind
from gateway.core.decision import Decision, Question
from gateway.core.errors import Invalid
from gateway.policy.decisions import DecisionFactory
from gateway.policy.interface import PolicyEngine
from gateway.policy.rollout.bundle_engines import EmbeddedEngines
from gateway.policy.rollout.bundle_gate import GatedBundle
from gateway.policy.rollout.bundle_states import Step
from gateway.policy.source import BundleError
from gateway.settings import GatewaySettings, PolicySettings
from observability.metrics import Metrics
from tests.conformance.policy_engine import submission
from tests.gateway.policy.rollout.releases import ADA, InThisProcess, archive
from tests.gateway.store.sqlite.new_store import store_at


class Third:
    """A fake policy engine that is neither embedded nor OPA, and answers nothing."""

    def __init__(self, revision: str) -> None:
        self.revision = revision

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def check(self) -> None: ...

    async def decide(self, question: Question) -> Decision:
        decisions = DecisionFactory("third")
        return decisions.faulty(question, "no answer", revision=self.revision, duration_seconds=0.0)


class ThirdEngines(EmbeddedEngines):
    async def deciding(self, bundle: GatedBundle | None, /, *, is_new: bool) -> PolicyEngine:
        return Third("at start" if bundle is None else bundle.manifest.revision)


@pytest.fixture(autouse=True)
def third(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = PolicyEngineKind(make=lambda _: Third("at start"), bundles=lambda it, _: ThirdEngines(it.engine))
    own = PolicyEngineKind(make=lambda _: Third("own"))
    engines = {**POLICY_ENGINES, "third": kind, "own-rules": own}
    monkeypatch.setattr(composition, "POLICY_ENGINES", engines)
    monkeypatch.setattr(composition, "GateProcess", InThisProcess)


async def test_an_active_bundle_is_decided_by_the_kind_of_engine_that_was_set(tmp_path: Path) -> None:
    """No other one takes over: it may understand the rules otherwise."""
    settings = GatewaySettings(development=str(tmp_path), policy=PolicySettings(engine="third:x"))
    async with (
        store_at(tmp_path / "gateway.db") as store,
        composition.policy_composition(settings, store, Metrics()) as parts,
    ):
        assert (await parts.engine.decide(submission())).engine == "third"

        release = await parts.rollout.upload(archive(1), ADA)
        await parts.rollout.take(Step.ACTIVATE, 1, ADA, expected=parts.rollout.current.generation)
        decision = await parts.engine.decide(submission())
        assert (decision.engine, decision.revision) == ("third", release.revision)


def own_rules(folder: Path) -> GatewaySettings:
    return GatewaySettings(development=str(folder), policy=PolicySettings(engine="own-rules:x"))


async def test_another_engine_with_rules_of_its_own_is_one_entry(tmp_path: Path) -> None:
    """It decides from the start on. A bundle that it is to use is refused, and changes nothing."""
    async with (
        store_at(tmp_path / "gateway.db") as store,
        composition.policy_composition(own_rules(tmp_path), store, Metrics()) as parts,
    ):
        await parts.rollout.upload(archive(1), ADA)
        for step in (Step.SHADOW, Step.ACTIVATE):
            with pytest.raises(Invalid) as refused:
                await parts.rollout.take(step, 1, ADA, expected=parts.rollout.current.generation)
            assert "takes no bundles" in refused.value.errors[0].detail
        assert parts.rollout.current.active is None
        decision = await parts.engine.decide(submission())
        assert (decision.engine, decision.revision) == ("third", "own")


async def test_an_engine_that_takes_no_bundles_does_not_start_over_an_active_one(tmp_path: Path) -> None:
    """Rules that are in force are never passed over."""
    embedded = GatewaySettings(development=str(tmp_path))
    async with store_at(tmp_path / "gateway.db") as store:
        async with composition.policy_composition(embedded, store, Metrics()) as parts:
            await parts.rollout.upload(archive(1), ADA)
            await parts.rollout.take(Step.ACTIVATE, 1, ADA, expected=parts.rollout.current.generation)
        with pytest.raises(BundleError, match=r"bundle 1 cannot be used: .*policy\.engine takes no bundles"):
            await composition.policy_composition(own_rules(tmp_path), store, Metrics()).__aenter__()


@pytest.mark.integration
def test_what_starts_often_loads_no_library_that_it_does_not_use() -> None:
    """The process for large documents starts with each engine; and most gateways ask no OPA."""
    modules = "gateway.policy.embedded.worker_main, gateway.policy.opa.factory"
    script = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert {"gateway", "msgspec"} <= set(loaded.split())
    assert {"jsonschema", "aiohttp", "opa_client", "requests"}.isdisjoint(loaded.split())
