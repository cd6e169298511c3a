"""A question as the rules read it. The shape is frozen in `policies/schemas/input.json`:

`{"workflow"?: the document, "context": {...}, "at": seconds, "action": "runs:submit", "principal": {...}}`

Everything that rules may look at is in it, and nothing else is: no clock, no token. The text is put together from parts that are JSON
already, since a submission waits for it.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from gateway.core.decision import Action, Question
from gateway.core.principal import Principal
from waypost.workflow.ijson import EXACT, UNFAITHFUL

ENTRY_POINTS: Final[Mapping[Action, str]] = {
    action: {
        Action.RUNS_SUBMIT: "data.waypost.submission.decision",
        Action.RUNS_PLACE: "data.waypost.placement.decision",
    }.get(action, "data.waypost.access.decision")
    for action in Action
}
"""The rule that answers each action."""


class QuestionError(Exception):
    """The question cannot be put: something in it is not JSON."""


def encode_question(question: Question) -> bytes:
    """The input document, UTF-8 JSON. Raises `QuestionError`, also for an integer that engines would round, each in its own way.

    The document comes first and who asks comes last: in JSON the last of two equal names counts, so not even bytes that are no single
    JSON value could put other words into the caller's mouth.
    """
    try:
        workflow = b"" if question.workflow is None else b'"workflow":' + question.workflow + b","
        context = b"{}"
        if question.context:
            context = msgspec.json.encode(question.context)
            _faithful(question.context)
        return b'{%b"context":%b,"at":%b,"action":"%b","principal":%b}' % (
            workflow,
            context,
            msgspec.json.encode(question.at),
            question.action.encode(),
            _principal(question.principal),
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise QuestionError(f"the question is not JSON: {error}") from error


def _faithful(value: Any) -> None:
    """Documents were looked through when they came."""
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        if isinstance(value, int) and abs(value) > EXACT:
            raise ValueError(f"{value} {UNFAITHFUL}")
        return
    for item in value:
        _faithful(item)


@lru_cache(maxsize=4096)
def _principal(principal: Principal) -> bytes:
    return msgspec.json.encode(principal)
