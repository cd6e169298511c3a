"""Tests evaluations on the event loop's thread: batched, bounded, and each with its own result."""

import asyncio
from typing import cast

import pytest

from gateway.policy.embedded import inline_evaluation
from gateway.policy.embedded.inline_evaluation import (
    FEWEST_DECLINED,
    MOST_DECLINED,
    InlineEvaluation,
)
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
    return InlineEvaluation(cast("Interpreter", fake), maximum_bytes=8)


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


async def declined_after(inline: InlineEvaluation, seconds: bytes) -> int:
    """Evaluates for `seconds`; returns how many evaluations are declined before one is taken again."""
    assert await inline.evaluate("r", seconds) is not None
    declined = 0
    while await inline.evaluate("r", b"0.0001") is None:
        declined += 1
    return declined


async def test_what_kept_the_event_loop_once_is_declined_a_few_times(inline: InlineEvaluation) -> None:
    assert await declined_after(inline, b"0.0041") == FEWEST_DECLINED
    assert await declined_after(inline, b"0.0039") == 0


async def test_a_rule_that_keeps_the_event_loop_again_and_again_is_declined_ever_longer(
    inline: InlineEvaluation,
) -> None:
    # Though each slow document is followed by a quick one.
    declined = [await declined_after(inline, b"0.0041") for _ in range(12)]
    assert declined[:4] == [16, 31, 61, 121]
    assert declined[-1] > MOST_DECLINED - 2


async def test_quick_evaluations_are_trusted_again_by_and_by(inline: InlineEvaluation) -> None:
    for _ in range(12):
        await declined_after(inline, b"0.0041")
    for _ in range(MOST_DECLINED):
        assert await inline.evaluate("r", b"0.0001") is not None
    assert await declined_after(inline, b"0.0041") == FEWEST_DECLINED


async def test_a_large_document_is_declined(inline: InlineEvaluation) -> None:
    assert await inline.evaluate("r", b"0.0000001") is None
