"""What a process that evaluates conditions is asked, and what it answers."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw, Struct


class ConditionQuestion(Struct, frozen=True, kw_only=True, gc=False):
    """One condition and the values that it sees beside `params`."""

    text: str
    shard: Mapping[str, Any] = {}
    """The same object for all questions of one shard: it is sent once."""
    outputs: Mapping[str, Any] = {}
    """Outputs of tasks, by name."""
    compile_only: bool = False
    """Whether it is compiled and not evaluated, since the values are not known yet."""


class ConditionAnswer(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The answer to one question: whether the condition holds, or why it cannot be evaluated."""

    holds: bool | None = None
    """None where there is an error, and where it was compiled only."""
    error: str = ""
    """A sentence for the condition's author."""


class EncodedQuestion(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A `ConditionQuestion` as a batch holds it; `shard` is an index into `ConditionBatch.shards`."""

    text: str
    shard: int
    outputs: dict[str, Raw]
    compile_only: bool


class ConditionBatch(Struct, frozen=True, kw_only=True, array_like=True):
    """One message to a process, in MessagePack: questions that share their params."""

    budget_seconds: float
    """Processor time of one question; what takes more ends the process."""
    params: Raw
    shards: list[Raw]
    questions: list[EncodedQuestion]


class ConditionReply(Struct, frozen=True, kw_only=True, array_like=True):
    """The reply to a `ConditionBatch`, with answers to its first questions and the time that they took.

    The process stops early, so that others have turns.
    """

    answers: list[ConditionAnswer]
    processor_seconds: float


class ConditionAnswers(Struct, frozen=True, kw_only=True):
    """What `ConditionEvaluator.evaluate` returns: answers to the first of its questions, in order.

    `complete`: to all of them; else the time was too short.
    """

    answers: list[ConditionAnswer]
    processor_seconds: float
    complete: bool
