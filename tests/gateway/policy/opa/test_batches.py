"""Tests that queries sent to OPA in one call are answered as if each had been sent alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from gateway.core.decision import Question
from gateway.policy.opa.address import parse_address
from gateway.policy.opa.engine import OpaPolicyEngine
from tests.conformance.policy_engine import document, submission
from tests.gateway.policy.opa.faulty_opa import RESULT, FaultyOpa, body_of, faulty_opa, never, response
from tests.opa_fixture import bundle_of, needs_opa, opa_with

PARTICULAR = """
name := input.workflow.spec.tasks[0].name
decision := {"allow": true, "rules": [name], "reasons": [], "obligations": {}} if {
    name != "undefined"
    1 / (count(name) - 3) != 100
}
"""
"""Rules that are undefined for `undefined` and divide by zero for a name of three letters."""


def named(name: str, tenant: str = "payments") -> Question:
    question = submission(document(name))
    return structs.replace(question, principal=structs.replace(question.principal, tenant=tenant))


@pytest.fixture
async def opa(tmp_path: Path) -> AsyncIterator[FaultyOpa]:
    async with faulty_opa(tmp_path) as opa:
        opa.numbers = True
        yield opa


@pytest.fixture
async def engine(opa: FaultyOpa) -> AsyncIterator[OpaPolicyEngine]:
    async with OpaPolicyEngine(opa.address, deadline_seconds=10) as engine:
        yield engine


@needs_opa
async def test_each_gets_its_own_answer(tmp_path: Path) -> None:
    """Also where others that share the call are undefined or fail."""
    names = ["undefined" if n % 7 == 3 else "bad" if n % 7 == 5 else f"task-{n}" for n in range(60)]
    async with (
        opa_with(tmp_path, bundle_of(PARTICULAR)) as opa,
        OpaPolicyEngine(parse_address(opa.engine), deadline_seconds=10) as engine,
    ):
        decisions = await asyncio.gather(*(engine.decide(named(name)) for name in names))
        again = await engine.decide(named("alone"))
    for name, decision in zip(names, decisions, strict=True):
        if name == "undefined":
            assert (decision.allow, "undefined" in decision.fault) == (False, True)
        elif name == "bad":
            assert (decision.allow, "divide by zero" in decision.fault) == (False, True)
        else:
            assert (decision.allow, decision.fault, decision.rules) == (True, "", (name,))
    assert again.allow is True


def questions_in(body: bytes) -> list[Question]:
    return list(numbered(body).values())


def numbered(body: bytes) -> dict[str, Any]:
    """Returns the queries of a request by their numbers; a single query has none."""
    found = msgspec.json.decode(body)["input"]
    return dict(found["questions"]) if "questions" in found else {"": found}


async def answer_all(opa: FaultyOpa, writer: asyncio.StreamWriter) -> None:
    """Permits every query of the request."""
    several = "/batch/" in opa.paths[-1]
    writer.write(response(body_of(dict.fromkeys(numbered(opa.bodies[-1]), RESULT) if several else RESULT)))


async def test_what_comes_during_a_call_shares_the_next(opa: FaultyOpa, engine: OpaPolicyEngine) -> None:
    """Sixteen callers at once cost a few calls, not sixteen."""
    opa.answer = lambda writer: answer_all(opa, writer)
    decisions = await asyncio.gather(*(engine.decide(named(f"n{n}")) for n in range(17)))
    assert all(decision.allow for decision in decisions)
    assert sorted(len(questions_in(body)) for body in opa.bodies) == [1, 16]


async def test_tenants_do_not_share_calls(opa: FaultyOpa, engine: OpaPolicyEngine) -> None:
    """A document that takes long or fails delays its own tenant alone."""
    opa.answer = lambda writer: answer_all(opa, writer)
    asked = (named(f"n{n}", tenant) for n in range(10) for tenant in ("payments", "research"))
    assert all(decision.allow for decision in await asyncio.gather(*map(engine.decide, asked)))
    for body in opa.bodies:
        assert len({question["principal"]["tenant"] for question in questions_in(body)}) == 1  # type: ignore[index]
    assert max(len(questions_in(body)) for body in opa.bodies) == 9


async def test_a_bundle_without_the_rules_for_several_is_asked_one_by_one(
    opa: FaultyOpa, engine: OpaPolicyEngine
) -> None:
    """Rules that were packed with OPA's own tools; that they have none is found once, not at each call."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        undefined = msgspec.json.encode(
            {"provenance": {"version": "1", "bundles": {"b": {"revision": "own"}}}}
        )
        alone = body_of(provenance=msgspec.json.decode(undefined)["provenance"])
        writer.write(response(undefined if "/batch/" in opa.paths[-1] else alone))

    opa.answer = answer
    for _ in range(3):
        decisions = await asyncio.gather(*(engine.decide(named(f"n{n}")) for n in range(8)))
        assert all(decision.allow for decision in decisions)
    assert sum("/batch/" in path for path in opa.paths) == 1

    # It takes a bundle that has them.
    opa.answer = lambda writer: answer_all(opa, writer)
    await asyncio.gather(*(engine.decide(named(f"n{n}")) for n in range(8)))
    await asyncio.gather(*(engine.decide(named(f"n{n}")) for n in range(8)))
    assert sum("/batch/" in path for path in opa.paths) > 1


async def test_a_call_has_no_more_than_opa_can_answer_within_the_deadline(
    opa: FaultyOpa, engine: OpaPolicyEngine
) -> None:
    """Sixteen documents of a hundred tasks, one after the other, would be late for all sixteen callers."""
    opa.answer = lambda writer: answer_all(opa, writer)
    wide = [submission(document(*(f"task-{n:04}" for n in range(150)))) for _ in range(10)]
    assert all(decision.allow for decision in await asyncio.gather(*map(engine.decide, wide)))
    counts = [len(questions_in(body)) for body in opa.bodies]
    assert sum(counts) == 10 and 2 <= max(counts) <= 6


async def test_a_large_document_waits_for_no_call_and_delays_none(
    opa: FaultyOpa, engine: OpaPolicyEngine
) -> None:
    """OPA takes long for it, and it is asked for within a deadline of its own."""
    opa.answer = lambda writer: answer_all(opa, writer)
    large = submission(document(*(f"task-{n:04}" for n in range(500))))
    asked = [engine.decide(named("a")), engine.decide(named("b")), engine.decide(large), engine.decide(large)]
    assert all(decision.allow for decision in await asyncio.gather(*asked))
    assert sorted(len(questions_in(body)) for body in opa.bodies) == [1, 1, 1, 1]


def permitting(*numbers: str) -> bytes:
    return body_of(dict.fromkeys(numbers, RESULT))


ODD_ANSWERS: dict[str, Callable[..., bytes]] = {
    "garbage": lambda *_: b"garbage",
    "a list": lambda *numbers: body_of([RESULT] * len(numbers)),
    "none": lambda *_: permitting(),
    "null": lambda *_: body_of(None),
    "one permission for all": lambda *_: body_of(RESULT),
    "one that is no permission": lambda one, *_: body_of({one: {**RESULT, "allow": "true"}}),
    "a number twice": lambda one, *_: permitting(one).replace(
        b'"result":{', b'"result":{"%b":{},' % one.encode()
    ),
    "the numbers of the questions after": lambda *numbers: permitting(*(str(int(n) + 4) for n in numbers)),
    "the numbers of the questions before": lambda *numbers: permitting(*(str(int(n) - 4) for n in numbers)),
    "from zero on": lambda *numbers: permitting(*map(str, range(len(numbers)))),
    "a number in another form": lambda one, *_: permitting(f"0{one}", f"{one}.0", f" {one}", f"+{one}"),
}


@pytest.mark.parametrize("odd", ODD_ANSWERS.values(), ids=ODD_ANSWERS)
async def test_an_answer_for_several_permits_nobody_whom_it_does_not_name(
    opa: FaultyOpa, engine: OpaPolicyEngine, odd: Callable[..., bytes]
) -> None:
    """What is not clear is asked again one by one, or is a fault."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        several = "/batch/" in opa.paths[-1]
        body = odd(*numbered(opa.bodies[-1])) if several else body_of({"allow": False})
        writer.write(response(body))

    opa.answer = answer
    decisions = await asyncio.gather(*(engine.decide(named(f"n{n}")) for n in range(5)))
    assert [decision.allow for decision in decisions] == [False] * 5
    assert all(decision.fault for decision in decisions)


@pytest.mark.parametrize("alone", [False, True], ids=["of a number", "of none"])
async def test_an_answer_to_an_earlier_question_permits_no_later_one(
    opa: FaultyOpa, engine: OpaPolicyEngine, *, alone: bool
) -> None:
    """It comes just when the next one is asked, on the same connection, also where that is asked alone."""
    earlier: list[bytes] = []

    async def answer(writer: asyncio.StreamWriter) -> None:
        permission = permitting(*numbered(opa.bodies[-1]))
        writer.write(response(earlier[0] if earlier else permission))
        earlier.append(body_of() if alone else permission)

    opa.answer = answer
    assert (await engine.decide(named("first"))).allow is True
    for _ in range(3):
        later = await engine.decide(named("later"))
        assert (later.allow, bool(later.fault)) == (False, True)


async def test_an_answer_for_some_of_several_is_theirs_alone(opa: FaultyOpa, engine: OpaPolicyEngine) -> None:
    """The first of a call is permitted, also alone; the second is not clear, and the others are missing."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        first, second, *_ = [*numbered(opa.bodies[-1]), "none"]
        some = {first: RESULT, second: {**RESULT, "allow": 1}}
        writer.write(response(body_of(some if "/batch/" in opa.paths[-1] else {"allow": False})))

    opa.answer = answer
    decisions = await asyncio.gather(*(engine.decide(named(f"n{n}")) for n in range(5)))
    assert [decision.allow for decision in decisions] == [True, True, False, False, False]


async def test_who_waits_behind_a_call_without_an_answer_gets_none_either(opa: FaultyOpa) -> None:
    """One deadline for all of them, not one after the other."""
    opa.answer = never
    async with OpaPolicyEngine(opa.address, deadline_seconds=0.1) as engine:
        decisions = await asyncio.gather(*(engine.decide(named(f"n{n}")) for n in range(30)))
    assert {decision.fault for decision in decisions} == {"no answer within 0.1 s"}
    assert opa.asked == 1


async def test_who_waits_for_its_turn_is_not_late_for_that(opa: FaultyOpa) -> None:
    """OPA answers each call in time: under load callers wait, and are not refused."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.6)
        await answer_all(opa, writer)

    opa.answer = answer
    async with OpaPolicyEngine(opa.address, deadline_seconds=1) as engine:
        decisions = await asyncio.gather(*(engine.decide(named(f"n{n}")) for n in range(5)))
    assert [decision.fault for decision in decisions] == [""] * 5


async def test_nobody_waits_for_more_than_one_call_before_its_own(opa: FaultyOpa) -> None:
    """Answers that are late and bad, each just in time, would hold up a long line for seconds."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        writer.write(response(b"{}"))

    opa.answer = answer
    async with OpaPolicyEngine(opa.address, deadline_seconds=0.1) as engine:
        decisions = await asyncio.gather(*(engine.decide(named(f"n{n}")) for n in range(60)))
    assert {decision.allow for decision in decisions} == {False}
    assert decisions[-1].fault == "no turn and no answer within 0.2 s"


async def test_a_caller_that_goes_takes_no_other_along(opa: FaultyOpa, engine: OpaPolicyEngine) -> None:
    """Its question is dropped, or its answer is; the others get theirs."""
    gate = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        body = opa.bodies[-1]
        await gate.wait()
        several = body.startswith(b'{"input":{"questions":')
        writer.write(response(body_of(dict.fromkeys(numbered(body), RESULT) if several else RESULT)))

    opa.answer = answer
    asked = [asyncio.create_task(engine.decide(named(f"n{n}"))) for n in range(7)]
    async with asyncio.timeout(20):
        while opa.asked < 1:
            await asyncio.sleep(0)
    for task in (asked[0], asked[2]):
        task.cancel()
    gate.set()
    found = await asyncio.gather(*asked, return_exceptions=True)
    gone = [number for number, decision in enumerate(found) if isinstance(decision, asyncio.CancelledError)]
    assert gone == [0, 2]
    assert [len(questions_in(body)) for body in opa.bodies] == [1, 5]
    assert sum(not isinstance(decision, BaseException) and decision.allow for decision in found) == 5


async def test_who_waits_when_the_engine_ends_gets_a_fault(opa: FaultyOpa) -> None:
    """Nobody hangs, and nobody is cancelled who was not."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        if len(numbered(opa.bodies[-1])) == 1:
            await answer_all(opa, writer)

    opa.answer = answer
    async with OpaPolicyEngine(opa.address, deadline_seconds=10) as engine:
        asked = [asyncio.create_task(engine.decide(named(f"n{n}"))) for n in range(5)]
        async with asyncio.timeout(20):
            while len(opa.paths) < 3:
                await asyncio.sleep(0)
    decisions = await asyncio.gather(*asked)
    assert [decision.fault for decision in decisions[1:]] == ["the engine is not running"] * 4
