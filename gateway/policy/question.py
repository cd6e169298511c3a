"""A question as the rules read it. The shape is frozen in `policies/schemas/input.json`:

`{"workflow"?: the document, "context": {...}, "at": seconds, "action": "runs:submit", "principal": {...}}`

Everything that rules may look at is in it, and nothing else is: no clock, no token. The text is put together from parts that are JSON
already, since a submission waits for it.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from gateway.core.principal import Action, Principal, Question

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


def encode(question: Question) -> bytes:
    """The input document, UTF-8 JSON. Raises `QuestionError`.

    The document comes first and who asks comes last: in JSON the last of two equal names counts, so not even bytes that are no single
    JSON value could put other words into the caller's mouth.
    """
    try:
        workflow = b"" if question.workflow is None else b'"workflow":' + question.workflow + b","
        context = msgspec.json.encode(question.context) if question.context else b"{}"
        return b'{%b"context":%b,"at":%b,"action":"%b","principal":%b}' % (
            workflow,
            context,
            msgspec.json.encode(question.at),
            question.action.encode(),
            _principal(question.principal),
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise QuestionError(f"the question is not JSON: {error}") from error


@lru_cache(maxsize=4096)
def _principal(principal: Principal) -> bytes:
    return msgspec.json.encode(principal)
