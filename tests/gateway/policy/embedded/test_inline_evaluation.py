"""Tests evaluations on the event loop's thread: batched, bounded, and each with its own result."""

import asyncio
from typing import cast

import pytest

from gateway.policy.embedded import inline_evaluation
from gateway.policy.embedded.inline_evaluation import AVOIDED, InlineEvaluation
from gateway.policy.embedded.interpreter import EvaluationError, Interpreter, Interrupted


class FakeInterpreter:
    """A fake interpreter: uses as many seconds as the document says, and returns the document."""

    bounded = True

    def __init__(self) -> None:
        self.now, self.evaluated = 0.0, list[str]()

    def thread_time(self) -> float:
        return self.now

    def evaluate(self, rule: str, document: bytes, *, until: float) -> str:
        del rule, until
        text = document.decode()
        self.evaluated.append(text)
        if text == "wrong":
            raise EvaluationError("no such thing")
        if text == "long":
            raise Interrupted("it takes long")
        self.now += float(text)
        return text


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeInterpreter:
    found = FakeInterpreter()
    monkeypatch.setattr(inline_evaluation, "time", found)
    return found


@pytest.fixture
def inline(fake: FakeInterpreter) -> InlineEvaluation:
    return InlineEvaluation({"r": cast("Interpreter", fake)}, maximum_bytes=8)


def ask(inline: InlineEvaluation, *documents: str) -> list[asyncio.Task[str | None]]:
    return [asyncio.create_task(inline.evaluate("r", document.encode())) for document in documents]


async def test_what_is_asked_at_once_is_evaluated_in_one_turn(
    fake: FakeInterpreter, inline: InlineEvaluation
) -> None:
    asked = ask(inline, "0.0001", "0.0002", "0.0003")
    await asyncio.sleep(0)
    assert fake.evaluated == []
    await asyncio.sleep(0)
    assert fake.evaluated == ["0.0001", "0.0002", "0.0003"]
    assert await asyncio.gather(*asked) == fake.evaluated


async def test_the_event_loop_has_its_turn_in_between(
    fake: FakeInterpreter, inline: InlineEvaluation
) -> None:
    asked = ask(inline, "0.0030", "0.0031", "0.0032")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert fake.evaluated == ["0.0030", "0.0031"]
    assert await asyncio.gather(*asked) == ["0.0030", "0.0031", "0.0032"]


async def test_an_error_and_what_takes_long_concern_one_caller(inline: InlineEvaluation) -> None:
    wrong, long, right = ask(inline, "wrong", "long", "0.0001")
    assert await right == "0.0001"
    assert await long is None
    with pytest.raises(EvaluationError, match="no such thing"):
        await wrong


async def test_nothing_is_evaluated_for_a_caller_that_has_gone(
    fake: FakeInterpreter, inline: InlineEvaluation
) -> None:
    gone, stays = ask(inline, "0.0001", "0.0002")
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == "0.0002"
    assert fake.evaluated == ["0.0002"]


async def test_what_kept_the_event_loop_is_declined_for_some_time(
    fake: FakeInterpreter, inline: InlineEvaluation
) -> None:
    assert await inline.evaluate("r", b"0.0041") == "0.0041"
    for _ in range(AVOIDED):
        assert await inline.evaluate("r", b"0.0001") is None
    assert await inline.evaluate("r", b"0.0001") == "0.0001"
    assert fake.evaluated == ["0.0041", "0.0001"]


async def test_a_large_document_is_declined(inline: InlineEvaluation) -> None:
    assert await inline.evaluate("r", b"0.0000001") is None
