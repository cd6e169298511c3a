"""Tests which policy engine decides in a gateway, from its start and by a bundle."""

from pathlib import Path
from typing import Self

import pytest

from gateway import policy_composition
from gateway.core.decision import Decision, Question
from gateway.policy.decisions import DecisionFactory
from gateway.policy.interface import PolicyEngine
from gateway.policy.rollout.bundle_engines import EmbeddedEngines
from gateway.policy.rollout.bundle_gate import GatedBundle
from gateway.policy.rollout.bundle_states import Step
from gateway.policy_composition import POLICY_ENGINES, PolicyEngineKind
from gateway.settings import GatewaySettings, PolicySettings
from gateway.store.sqlite.store import SqliteStore
from observability.metrics import Metrics
from tests.conformance.policy_engine import submission
from tests.gateway.policy.rollout.releases import ADA, InThisProcess, archive
from waypost.sqlite_group_commit import Database


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
    monkeypatch.setattr(policy_composition, "POLICY_ENGINES", {**POLICY_ENGINES, "third": kind})
    monkeypatch.setattr(policy_composition, "GateProcess", InThisProcess)


async def test_an_active_bundle_is_decided_by_the_kind_of_engine_that_was_set(tmp_path: Path) -> None:
    """No other one takes over: it may understand the rules otherwise."""
    settings = GatewaySettings(development=str(tmp_path), policy=PolicySettings(engine="third:x"))
    async with (
        SqliteStore(Database(tmp_path / "gateway.db")) as store,
        policy_composition.policy_composition(settings, store, Metrics()) as parts,
    ):
        assert (await parts.engine.decide(submission())).engine == "third"

        release = await parts.rollout.upload(archive(1), ADA)
        await parts.rollout.take(Step.ACTIVATE, 1, ADA, expected=parts.rollout.current.generation)
        decision = await parts.engine.decide(submission())
        assert (decision.engine, decision.revision) == ("third", release.revision)
