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
    """The values are not known yet."""


class ConditionAnswer(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Whether a condition holds, or why it cannot be said."""

    holds: bool | None = None
    """None where there is an error, and where it was compiled only."""
    error: str = ""
    """A sentence for the condition's author."""


class EncodedQuestion(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A `ConditionQuestion` on its way; `shard` is a place in `ConditionBatch.shards`."""

    text: str
    shard: int
    outputs: dict[str, Raw]
    compile_only: bool


class ConditionBatch(Struct, frozen=True, kw_only=True, array_like=True):
    """Questions that share their params, in MessagePack."""

    budget_seconds: float
    """Processor time of one question; what takes more ends the process."""
    params: Raw
    shards: list[Raw]
    questions: list[EncodedQuestion]


class ConditionReply(Struct, frozen=True, kw_only=True, array_like=True):
    """Answers to the first questions of a batch: the process stops early, so that others have turns."""

    answers: list[ConditionAnswer]
    processor_seconds: float


class ConditionAnswers(Struct, frozen=True, kw_only=True):
    """Answers to the first questions that were asked, in order; to all of them unless time was short."""

    answers: list[ConditionAnswer]
    processor_seconds: float
    complete: bool
