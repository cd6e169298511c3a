"""Tests that each query to OPA has a number by which its answer is matched, or its own connection."""

from pathlib import Path

from loguru import logger
from msgspec import structs

from gateway.core.decision import Action
from gateway.policy.opa.engine import OpaPolicyEngine
from tests.gateway.policy.opa.faulty_opa import faulty_opa
from tests.gateway.policy.opa.test_batches import answer_all, named, numbered


async def test_each_kind_of_question_has_a_number(tmp_path: Path) -> None:
    """Placement too: it decides where work goes."""
    async with faulty_opa(tmp_path) as opa, OpaPolicyEngine(opa.address, deadline_seconds=10) as engine:
        opa.numbers, opa.answer = True, lambda writer: answer_all(opa, writer)
        for action in Action:
            assert (await engine.decide(structs.replace(named("a"), action=action))).allow is True
        assert {len(numbered(body)) for body in opa.bodies} == {1}
        assert all("/batch/" in path for path in opa.paths[1:])


async def test_a_question_without_a_number_has_a_connection_to_itself(tmp_path: Path) -> None:
    """A late answer to the one before is read by nobody; the log says once what it costs."""
    logged: list[str] = []
    sink = logger.add(logged.append, format="{message}", level="WARNING")
    async with faulty_opa(tmp_path) as opa, OpaPolicyEngine(opa.address, deadline_seconds=10) as engine:
        assert (await engine.decide(named("first"))).allow is True
        before = opa.connections
        for _ in range(3):
            assert (await engine.decide(named("later"))).allow is True
        assert opa.connections == before + 3
    logger.remove(sink)
    assert sum("each opens a connection" in one for one in logged) == 1
