"""Tests the OPA engine with an OPA that answers late, badly, elsewhere or not at all."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from gateway.core.decision import Action, Question
from gateway.core.errors import Unavailable
from gateway.policy.circuit_breaker import FAILURES_MAXIMUM
from gateway.policy.opa.address import OpaAddress
from gateway.policy.opa.engine import OpaPolicyEngine
from tests.conformance.policy_engine import PRINCIPAL, document, submission
from tests.gateway.policy.opa.faulty_opa import (
    PROVENANCE,
    REFUSAL,
    FaultyOpa,
    body_of,
    faulty_opa,
    never,
    response,
    sending,
)


@pytest.fixture
async def opa(tmp_path: Path) -> AsyncIterator[FaultyOpa]:
    async with faulty_opa(tmp_path) as opa:
        yield opa


@pytest.fixture
async def engine(opa: FaultyOpa) -> AsyncIterator[OpaPolicyEngine]:
    async with OpaPolicyEngine(opa.address, deadline_seconds=10) as engine:
        yield engine


def of(tenant: str) -> Question:
    question = submission()
    return structs.replace(question, principal=structs.replace(question.principal, tenant=tenant))


async def fault(engine: OpaPolicyEngine) -> str:
    decision = await engine.decide(submission())
    assert decision.allow is False
    return decision.fault


async def test_a_redirect_is_not_followed(opa: FaultyOpa, engine: OpaPolicyEngine) -> None:
    """The document would go elsewhere, and elsewhere would decide."""
    opa.answer = sending(response(b"", status="307 Temporary Redirect", headers=("Location: /allowed",)))
    assert await fault(engine) == "it answers with status 307"
    assert "/allowed" not in opa.paths


async def test_an_answer_that_nobody_has_asked_for_answers_nobody(
    opa: FaultyOpa, engine: OpaPolicyEngine
) -> None:
    """It comes late on a connection that is kept, and would permit what the next one asks."""
    later: list[asyncio.StreamWriter] = []

    async def refuse(writer: asyncio.StreamWriter) -> None:
        writer.write(response(body_of(REFUSAL)))
        later.append(writer)

    opa.answer = refuse
    for _ in range(3):
        assert (await engine.decide(submission())).fault == ""
        later[-1].write(response(body_of()))
        # Each turn of the loop reads what is there.
        for _ in range(5):
            await asyncio.sleep(0)
        decision = await engine.decide(submission())
        assert (decision.allow, decision.rules) == (False, ("image.banned",))


async def test_a_connection_that_has_died_is_replaced_at_once(
    opa: FaultyOpa, engine: OpaPolicyEngine
) -> None:
    """After a restart of OPA each kept connection fails once, which no caller has to notice."""
    died = asyncio.Event()

    async def die_once(writer: asyncio.StreamWriter) -> None:
        if died.is_set():
            writer.write(response(body_of()))
        died.set()
        writer.transport.abort() if opa.asked == 1 else None

    opa.answer = die_once
    assert (await engine.decide(submission())).allow is True
    assert opa.asked == 2


async def test_a_question_is_repeated_once_at_most(opa: FaultyOpa, engine: OpaPolicyEngine) -> None:
    """More would only delay the 503."""

    async def die(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    opa.answer = die
    assert (await fault(engine)).startswith("no answer: ")
    assert opa.asked == 2


async def test_an_error_of_the_rules_is_not_repeated_and_says_where(
    opa: FaultyOpa, engine: OpaPolicyEngine
) -> None:
    """The client itself would ask three times, with pauses, and lose the cause."""
    place = {"file": "x.rego", "row": 4}
    found = {"code": "eval_builtin_error", "message": "div: divide by zero", "location": place}
    error = {"errors": [found]}
    opa.answer = sending(response(msgspec.json.encode(error), status="500 Internal Server Error"))
    assert await fault(engine) == "x.rego:4: eval_builtin_error: divide by zero"
    assert opa.asked == 1


async def test_errors_of_builtins_are_asked_for(opa: FaultyOpa, engine: OpaPolicyEngine) -> None:
    """Without that OPA makes a rule that fails undefined, and a refusal silent."""
    await engine.decide(submission())
    assert opa.paths[-1] == "/v1/data/waypost/submission/decision?strict-builtin-errors=True&provenance=True"


async def test_no_answer_in_time_is_a_fault(opa: FaultyOpa) -> None:
    """A caller waits for the deadline, not for OPA."""
    opa.answer = never
    async with OpaPolicyEngine(opa.address, deadline_seconds=0.02) as engine:
        assert await fault(engine) == "no answer within 0.02 s"


async def test_a_large_document_has_longer(opa: FaultyOpa) -> None:
    """OPA needs 12 to 19 ms for a thousand tasks."""

    async def late(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        writer.write(response(body_of()))

    opa.answer = late
    async with OpaPolicyEngine(opa.address, deadline_seconds=0.001, large_deadline_seconds=10) as engine:
        decision = await engine.decide(submission(document(*(f"task-{n:04}" for n in range(2_000)))))
    assert (decision.allow, decision.fault) == (True, "")


async def test_a_document_of_the_largest_size_arrives_whole(opa: FaultyOpa, engine: OpaPolicyEngine) -> None:
    """Placeholders may double the mebibyte that is sent; it is written in pieces, with its length."""
    workflow = document(*(f"task-{number:06}" for number in range(20_000)))
    assert len(workflow) > 1_048_576
    async with OpaPolicyEngine(opa.address, large_deadline_seconds=20) as engine:
        assert (await engine.decide(submission(workflow))).allow is True
    assert msgspec.json.decode(opa.bodies[-1])["input"]["workflow"] == msgspec.json.decode(workflow)


async def test_an_opa_that_does_not_answer_is_asked_no_more(opa: FaultyOpa) -> None:
    """Nobody waits for the deadline again and again, the controller least of all."""
    opa.answer, opa.healthy = never, False
    async with OpaPolicyEngine(opa.address, deadline_seconds=0.01) as engine:
        waits = "it is not asked until it answers again: no answer within 0.01 s"
        faults = []
        while waits not in faults:
            faults.append(await fault(engine))
        # On a busy machine the look at the start may be the first failure, and an answer may be late twice.
        assert FAILURES_MAXIMUM - 1 <= len(faults) - 1 <= FAILURES_MAXIMUM + 2
        assert [await fault(engine) for _ in range(3)] == [waits] * 3
        asked = opa.asked
        async with asyncio.timeout(20):
            while opa.paths.count("/health") < 3:
                await asyncio.sleep(0.001)
        assert await fault(engine) == waits
        assert opa.asked == asked

        opa.answer, opa.healthy = sending(response(body_of())), True
        async with asyncio.timeout(20):
            while not (await engine.decide(submission())).allow:
                await asyncio.sleep(0.01)


async def test_one_document_that_never_ends_keeps_nobody_out(opa: FaultyOpa) -> None:
    """OPA is well, so questions go on: who sends such a document again and again stops nothing."""
    opa.answer = never
    async with OpaPolicyEngine(opa.address, deadline_seconds=0.2) as engine:
        await asyncio.gather(*(engine.decide(of(f"tenant-{n}")) for n in range(FAILURES_MAXIMUM)))
        opa.answer = sending(response(body_of()))
        async with asyncio.timeout(20):
            while not (await engine.decide(submission())).allow:
                await asyncio.sleep(0.001)


async def test_bytes_that_end_the_document_early_replace_nothing(
    opa: FaultyOpa, engine: OpaPolicyEngine
) -> None:
    """The question is put into another object: OPA would take the last of two inputs."""
    forged = b'{}},"input":{"principal":{"tenant":"research"}},"x":{"y":{}'
    question = Question(action=Action.RUNS_SUBMIT, principal=PRINCIPAL, at=1.0, workflow=forged)
    assert (await engine.decide(question)).fault.startswith("the question is not JSON")
    assert opa.asked == 0


async def test_each_decision_names_the_rules_that_made_it(opa: FaultyOpa, engine: OpaPolicyEngine) -> None:
    """OPA takes new rules while the gateway runs."""
    assert (await engine.decide(submission())).revision == "rev1"
    provenance = {"version": "1.22.2", "bundles": {"b": {"revision": "rev2"}}}
    opa.answer = sending(response(body_of(provenance=provenance)))
    assert ((await engine.decide(submission())).revision, engine.revision) == ("rev2", "rev2")


async def test_rules_without_a_revision_decide_nothing(opa: FaultyOpa, engine: OpaPolicyEngine) -> None:
    """Nobody could say which rules they were; without a bundle anybody who reaches OPA may have put them."""
    opa.answer = sending(response(body_of(provenance={**PROVENANCE, "bundles": {}})))
    assert await fault(engine) == "it holds no bundle with a revision"


async def test_it_starts_before_its_opa(tmp_path: Path) -> None:
    """A gateway that is started before its OPA waits for it, and permits nothing until then."""
    async with OpaPolicyEngine(OpaAddress(socket=str(tmp_path / "fake.sock")), deadline_seconds=10) as engine:
        with pytest.raises(Unavailable, match="No such file"):
            await engine.check()
        assert (await fault(engine)).startswith("no answer: ")
        async with faulty_opa(tmp_path):
            await engine.check()
            assert (await engine.decide(submission())).allow is True


async def test_an_engine_that_does_not_run_refuses(opa: FaultyOpa) -> None:
    """There are no connections before it is entered and after it is left."""
    engine = OpaPolicyEngine(opa.address)
    assert await fault(engine) == "the engine is not running"
    async with engine:
        assert (await engine.decide(submission())).allow is True
    assert await fault(engine) != ""
