"""Tests the OPA engine with a real OPA that is killed, stopped, restarted, or cannot answer."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.cli.dev.opa_process import OpaProcess
from gateway.core.errors import Unavailable
from gateway.policy.circuit_breaker import FAILURES_MAXIMUM
from gateway.policy.opa.address import parse_address
from gateway.policy.opa.engine import OpaPolicyEngine
from tests.conformance.policy_engine import ALLOW, submission
from tests.integration.waiting import until
from tests.opa_fixture import bundle_of, needs_opa, opa_with

pytestmark = needs_opa
RULES = ALLOW + "\nfails := 1 / data.zero\n"
BUNDLE = bundle_of(RULES, {"zero": 0})


@pytest.fixture
async def opa(tmp_path: Path) -> AsyncIterator[OpaProcess]:
    async with opa_with(tmp_path, BUNDLE) as opa:
        yield opa


@pytest.fixture
async def engine(opa: OpaProcess) -> AsyncIterator[OpaPolicyEngine]:
    async with OpaPolicyEngine(parse_address(opa.engine), deadline_seconds=0.5) as engine:
        yield engine


async def allowed(engine: OpaPolicyEngine) -> bool:
    return (await engine.decide(submission())).allow


async def test_it_knows_which_rules_opa_holds(engine: OpaPolicyEngine) -> None:
    """The revision is the bundle's own, as the embedded engine would compute it."""
    assert engine.revision == BUNDLE.revision


async def test_a_killed_opa_permits_nothing_until_it_is_back(
    opa: OpaProcess, engine: OpaPolicyEngine
) -> None:
    """Kept connections are dead then; the first question after the restart is answered all the same."""
    assert await allowed(engine)
    opa.send(signal.SIGKILL)
    await opa.stop()
    decisions = [await engine.decide(submission()) for _ in range(3)]
    assert [decision.allow for decision in decisions] == [False] * 3
    assert all(decision.fault.startswith("no answer: ") for decision in decisions)
    with pytest.raises(Unavailable):
        await engine.check()
    await opa.start()
    assert await allowed(engine)


async def test_a_restart_that_nobody_has_seen_costs_nobody_a_503(
    opa: OpaProcess, engine: OpaPolicyEngine
) -> None:
    """The connection that was kept is tried, fails, and is replaced."""
    assert await allowed(engine)
    await opa.stop()
    await opa.start()
    assert await allowed(engine)


async def test_a_stopped_opa_costs_the_deadline_and_soon_nothing(opa: OpaProcess) -> None:
    """SIGSTOP: connections are taken and nothing is answered; when it goes on, decisions go on."""
    async with OpaPolicyEngine(parse_address(opa.engine), deadline_seconds=0.05) as engine:
        opa.send(signal.SIGSTOP)
        # A signal takes a moment on a busy machine: it has stopped when the system says so.
        assert opa.process is not None
        await asyncio.to_thread(os.waitid, os.P_PID, opa.process.pid, os.WSTOPPED | os.WNOWAIT)
        faults = [(await engine.decide(submission())).fault for _ in range(FAILURES_MAXIMUM + 1)]
        assert faults[0] == "no answer within 0.05 s"
        assert faults[-1].startswith("it is not asked until it answers again")
        opa.send(signal.SIGCONT)
        assert await until(lambda: allowed(engine))


async def test_what_came_by_opas_api_does_not_count(opa: OpaProcess, engine: OpaPolicyEngine) -> None:
    """The bundle owns everything: nobody who reaches OPA's API can add a rule to it."""
    path = parse_address(opa.engine).socket
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=path), base_url="http://opa") as api:
        rule = "package waypost.submission\nimport rego.v1\ndecision := false"
        assert (await api.put("/v1/policies/x", content=rule)).status_code == 400
        assert (await api.put("/v1/data/zero", json=1)).status_code == 400
    assert await allowed(engine)


async def test_a_rule_that_fails_is_named_with_its_line(tmp_path: Path) -> None:
    """Strict errors: what would silently be undefined is a fault with file and line."""
    rules = 'decision := {"allow": true, "rules": [], "reasons": [], "obligations": {}} if {\n  1 / 0 == 1\n}'
    async with (
        opa_with(tmp_path, bundle_of(rules)) as opa,
        OpaPolicyEngine(parse_address(opa.engine), deadline_seconds=10) as engine,
    ):
        fault = (await engine.decide(submission())).fault
    assert fault.endswith("submission.rego:4: eval_builtin_error: divide by zero")
