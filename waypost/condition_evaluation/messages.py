"""The types of messages to and from the child processes that evaluate conditions."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw, Struct


class ConditionRead(Struct, frozen=True, array_like=True, gc=False):
    """One value that a condition reads, as it is written there, such as `tasks["fetch"].output`."""

    root: str
    """The variable that is read, such as `tasks`."""
    name: str | None = None
    """The name read below `root`, such as `fetch`; None where it is computed or all of `root` is read."""
    member: str | None = None
    """The name read below `name`, such as `output`; None where nothing is read there, or it is computed."""


class ConditionReads(Struct, frozen=True, array_like=True, gc=False):
    """All values that a condition reads: outputs of tasks, params, values of the shard, the run's end."""

    mentions: tuple[ConditionRead, ...] = ()
    """Every value that the condition mentions, each once, in order."""
    tests_presence: bool = False
    """Whether the condition tests that a value exists, with `has` or `in`."""

    @property
    def roots(self) -> frozenset[str]:
        """Returns which of the variables that there are the condition reads."""
        return frozenset(mention.root for mention in self.mentions)

    def names(self, root: str) -> tuple[str, ...]:
        """Returns the names that the condition reads directly below the variable `root`, each once, in order.

        In `tasks["fetch"].output` the name is `fetch`. Names that the condition computes are left out.
        """
        names = (mention.name for mention in self.mentions if mention.root == root)
        return tuple(dict.fromkeys(name for name in names if name is not None))


class ConditionQuestion(Struct, frozen=True, kw_only=True, gc=False):
    """A request to compile or evaluate one condition: its text, the shard's values, outputs of tasks.

    The `params` that it may read too are sent once for all questions of a batch.
    """

    text: str
    shard: Mapping[str, Any] = {}
    """The shard's values. All questions of one shard hold the same object, which is sent once."""
    outputs: Mapping[str, Any] = {}
    """The outputs of tasks, by task name."""
    phases: Mapping[str, str] = {}
    """The phases in which these tasks have ended."""
    compile_only: bool = False
    """Whether the condition is only compiled, not evaluated."""
    before_run: bool = False
    """Whether the run has not begun, so that the outputs of tasks are not known yet.

    A condition that reads outputs or the end is then only compiled, and the answer lists its reads.
    """
    ending: Mapping[str, Any] = {}
    """The variables `status` and `failed`, in which a condition of `finally` sees how all else has ended."""


class ConditionAnswer(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The answer to one `ConditionQuestion`: whether the condition is true, or why it cannot be evaluated."""

    holds: bool | None = None
    """Whether the condition is true; None where there is an error or it was only compiled."""
    error: str = ""
    """The error, as a sentence for the condition's author; empty where there is no error."""
    reads: ConditionReads | None = None
    """The values that the condition reads; set where `before_run` was asked and it can be compiled."""


class EncodedQuestion(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A `ConditionQuestion` as it is encoded in a batch; `shard` is an index into `ConditionBatch.shards`."""

    text: str
    shard: int
    outputs: dict[str, Raw]
    phases: Mapping[str, str]
    compile_only: bool
    before_run: bool
    ending: Mapping[str, Any]


class ConditionBatch(Struct, frozen=True, kw_only=True, array_like=True):
    """A request to a process that evaluates conditions: questions that share params, as MessagePack."""

    budget_seconds: float
    """The processor time that one question may take; more ends the process."""
    params: Raw
    shards: list[Raw]
    questions: list[EncodedQuestion]


class ConditionReply(Struct, frozen=True, kw_only=True, array_like=True):
    """The reply to a `ConditionBatch`: answers to the first of its questions, and the time that they took.

    The process stops early, so that other callers are served in between.
    """

    answers: list[ConditionAnswer]
    processor_seconds: float


class ConditionAnswers(Struct, frozen=True, kw_only=True):
    """The result of `ConditionEvaluator.evaluate`: answers to its questions, from the first on, in order.

    `complete` says whether all are answered; if not, the time was too short.
    """

    answers: list[ConditionAnswer]
    processor_seconds: float
    complete: bool
