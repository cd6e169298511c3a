"""Tests the embedded policy engine with evaluation in its own process."""

import asyncio
import threading
from pathlib import Path

import pytest

from gateway.core.decision import Decision
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from gateway.policy.source import BundleError
from tests.conformance.policy_engine import (
    ALLOW,
    document,
    submission,
)
from tests.gateway.policy.embedded.engines import (
    EmbeddedEngineConformance,
    write,
)


class TestInline(EmbeddedEngineConformance):
    """The conformance suite with all documents but large ones evaluated on this thread."""

    inline_bytes = 65_536


async def test_another_thread_gets_a_fault(tmp_path: Path) -> None:
    """On another thread the evaluator would panic, and a panic is no `Exception`."""
    async with EmbeddedPolicyEngine(write(tmp_path, ALLOW)) as engine:
        decisions: list[Decision] = []
        thread = threading.Thread(target=lambda: decisions.append(asyncio.run(engine.decide(submission()))))
        thread.start()
        thread.join()
        assert (decisions[0].allow, decisions[0].fault) == (
            False,
            "asked on another thread than the one the engine lives on",
        )
        assert (await engine.decide(submission())).allow is True


async def test_an_engine_that_does_not_run_refuses(tmp_path: Path) -> None:
    """There are no rules before it is entered and after it is left."""
    engine = EmbeddedPolicyEngine(write(tmp_path, ALLOW))
    assert (await engine.decide(submission())).fault == "the engine is not running"
    async with engine:
        assert (await engine.decide(submission())).allow is True
    assert (await engine.decide(submission())).fault == "the engine is not running"


async def test_reasons_are_bounded(tmp_path: Path) -> None:
    """A decision is stored with its run: ten thousand banned images make a hundred sentences and a number."""
    rules = """
    reasons contains {"rule": "r", "message": name} if {
        some task in input.workflow.spec.tasks
        name = task.name
    }
    decision := {"allow": false, "rules": ["r"], "reasons": reasons, "obligations": {}}
    """
    async with EmbeddedPolicyEngine(write(tmp_path, rules), inline_bytes=10_000_000) as engine:
        decision = await engine.decide(
            submission(document(*(f"{index}{'x' * 1_000}" for index in range(150))))
        )
    assert len(decision.reasons) == 101
    assert decision.reasons[-1].message == "and 50 more reasons"
    assert max(len(reason.message) for reason in decision.reasons) == 500


async def test_the_rules_that_ship_permit_the_example() -> None:
    """The default policies and data let the demonstration's tenant in."""
    async with EmbeddedPolicyEngine() as engine:
        decision = await engine.decide(submission(document("scan", dataClass="internal")))
    assert decision.allow is True
    assert decision.obligations.regions == ("beijing", "shanghai", "shenzhen")


async def test_a_failure_in_a_loop_is_a_failure(tmp_path: Path) -> None:
    """It is not taken for an evaluation that takes long, though the line has a checkpoint."""
    loops = "some a in input.workflow.spec.tasks; some b in input.workflow.spec.tasks"
    rules = f"slow if {{ {loops}; count(b.type) / 0 == a }}"
    async with EmbeddedPolicyEngine(write(tmp_path, f"{rules}\n{ALLOW} if slow")) as engine:
        decision = await engine.decide(submission())
    assert "divide by zero" in decision.fault


async def test_rules_that_fail_the_gate_stop_the_start(tmp_path: Path) -> None:
    """No gateway is better than one that permits by accident; the diagnostic names the line."""
    engine = EmbeddedPolicyEngine(write(tmp_path, ALLOW + ' if {\n  not http.send({"url": "http://x"})\n}'))
    with pytest.raises(BundleError, match=r"^submission\.rego:4: http\.send is refused"):
        await engine.__aenter__()
