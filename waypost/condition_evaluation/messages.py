"""The messages to and from a process that evaluates conditions: questions, answers and their batches."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw, Struct


class ConditionRead(Struct, frozen=True, array_like=True, gc=False):
    """One mention of a value in a condition, such as `tasks["fetch"].output`."""

    root: str
    """The object that is read: `tasks`, `params` or `shard`."""
    name: str | None = None
    """The name read below `root`, such as `fetch`; None: it is computed, or all of `root` is read."""
    member: str | None = None
    """The name read below `name`, such as `output`; None where there is none, or it is computed."""


class ConditionReads(Struct, frozen=True, array_like=True, gc=False):
    """The values that a condition reads."""

    mentions: tuple[ConditionRead, ...] = ()
    """Every mention, each once, in order."""
    tests_presence: bool = False
    """Whether it tests that a value exists, with `has` or `in`."""

    @property
    def roots(self) -> frozenset[str]:
        """The variables that the condition mentions: `tasks`, `params`, `shard`."""
        return frozenset(mention.root for mention in self.mentions)

    def names(self, root: str) -> tuple[str, ...]:
        """The names that the condition reads below `root`, each once, in order, without computed names."""
        names = (mention.name for mention in self.mentions if mention.root == root)
        return tuple(dict.fromkeys(name for name in names if name is not None))


class ConditionQuestion(Struct, frozen=True, kw_only=True, gc=False):
    """The question about one condition: its text and the values that it reads beside `params`."""

    text: str
    shard: Mapping[str, Any] = {}
    """The same object for all questions of one shard: it is sent once."""
    outputs: Mapping[str, Any] = {}
    """Outputs of tasks, by name."""
    compile_only: bool = False
    """Whether it is compiled and not evaluated."""
    before_run: bool = False
    """Whether the outputs of tasks are not known yet: what reads them is compiled only, and the answer says
    what is read.
    """


class ConditionAnswer(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The answer to one question: whether the condition holds, or why it cannot be evaluated."""

    holds: bool | None = None
    """None where there is an error, and where it was compiled only."""
    error: str = ""
    """A sentence for the condition's author."""
    reads: ConditionReads | None = None
    """What the condition reads, where it was asked about before the run and can be compiled."""


class EncodedQuestion(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A `ConditionQuestion` as a batch holds it; `shard` is an index into `ConditionBatch.shards`."""

    text: str
    shard: int
    outputs: dict[str, Raw]
    compile_only: bool
    before_run: bool


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
    """The result of `ConditionEvaluator.evaluate`: answers to the first of its questions, in order.

    `complete`: to all of them; else the time was too short.
    """

    answers: list[ConditionAnswer]
    processor_seconds: float
    complete: bool
