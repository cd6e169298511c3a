"""Conditions are tried before a document is accepted, in a process that can be killed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.core.errors import TooManyRequests, Unavailable
from gateway.documents.condition_checks import ConditionTrial
from gateway.settings import DocumentLimits
from gateway.submission.try_conditions import try_conditions
from tests.gateway.documents.documents import document, read, task
from waypost.condition_evaluation.evaluator import ConditionEvaluator
from waypost.json_pointer import FieldError

pytestmark = pytest.mark.integration

SLOW = r'params.l.all(x, x.matches("^\\pL{60}$") || true)'
PARAMS = {"l": ["1"] * 1_900}


@pytest.fixture
async def evaluator() -> AsyncIterator[ConditionEvaluator]:
    async with ConditionEvaluator(budget_seconds=0.1, maximum_waiting_of_caller=2) as running:
        yield running


def trial(*whens: str, **spec: Any) -> ConditionTrial:
    tasks = [task(f"t{index}", when=when) for index, when in enumerate(whens)]
    return ConditionTrial(read(document(*tasks, **spec)))


async def errors(
    evaluator: ConditionEvaluator, *whens: str, seconds: float = 0.2, tenant: str = "a", **spec: Any
) -> list[FieldError]:
    return await try_conditions(
        trial(*whens, **spec),
        evaluator=evaluator,
        tenant=tenant,
        limits=DocumentLimits(conditions_seconds=seconds),
    )


async def test_conditions_that_take_too_long_together_are_refused(evaluator: ConditionEvaluator) -> None:
    """None of them is at fault by itself."""
    whens = [f"{index} < {index + 1}" for index in range(2_000)]

    assert await errors(evaluator, *whens, seconds=1e-6) == [
        FieldError("/spec/tasks", "the conditions take more than 2e-06 s of processor time")
    ]


async def test_forms_of_items_are_tried_only_as_long_as_there_is_time(evaluator: ConditionEvaluator) -> None:
    """A thousand items of different form times two thousand conditions are two million evaluations."""
    items = [{"a": 1, f"only{index}": index} for index in range(1_000)]
    whens = [f"shard.item.a != {index}" for index in range(2_000)]

    assert await errors(evaluator, *whens, shards={"items": items}) == []
    assert await errors(evaluator, "shard.item.only0 == 0", "true", shards={"items": items}) == [
        FieldError("/spec/tasks/0/when", "cannot be evaluated: there is no 'only0' in shard 1")
    ]


async def test_one_tenant_does_not_delay_another(evaluator: ConditionEvaluator) -> None:
    """One of two processes is always left to the others, also while the other is killed and started again."""
    await errors(evaluator, "true")
    while len(evaluator._pool._idle) < 2:
        await asyncio.sleep(0)
    slow = [asyncio.create_task(errors(evaluator, SLOW, params=PARAMS, tenant="loud")) for _ in range(2)]
    for _ in range(5):
        assert await errors(evaluator, "1 > 0", tenant="quiet") == []
    assert not all(one.done() for one in slow)

    assert await asyncio.gather(*slow) == [
        [FieldError("/spec/tasks/0/when", "takes more than 0.1 s of processor time")]
    ] * len(slow)


async def test_a_tenant_whose_submissions_wait_already_is_asked_to_come_back(
    evaluator: ConditionEvaluator,
) -> None:
    """A queue that only grows would make all of its submissions wait too long."""
    slow = [asyncio.create_task(errors(evaluator, SLOW, params=PARAMS)) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(TooManyRequests, match="2 requests of a are waiting already"):
        await errors(evaluator, "true")
    await asyncio.gather(*slow)


async def test_without_a_process_nothing_is_accepted(
    evaluator: ConditionEvaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is short of processes is no fault of the document: 503, not 422."""
    monkeypatch.setattr("waypost.worker_pool.sys.executable", "/nonexistent")

    with pytest.raises(Unavailable, match="conditions cannot be tried now: a worker process does not start"):
        await errors(evaluator, "true")
