"""Encodes a policy query as the `input` document of the rules, with the schema `schemas/input.json`:

    {"workflow"?: the document, "context": {...}, "at": seconds, "action": "runs:submit", "principal": {...}}

`spec.tasks` has the tasks of all stages: those of `collect` and `finally` are there as well as in their own
place. The rules see nothing else: no clock and no token. Since a submission waits for it, the text is joined
from parts that are JSON already.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from gateway.core.decision import Action, Question
from gateway.core.principal import Principal
from gateway.policy.all_tasks import with_all_tasks
from waypost.workflow.ijson_limits import EXACT, UNFAITHFUL

ENTRY_POINTS: Final[Mapping[Action, str]] = {
    action: {
        Action.RUNS_SUBMIT: "data.waypost.submission.decision",
        Action.RUNS_PLACE: "data.waypost.placement.decision",
    }.get(action, "data.waypost.access.decision")
    for action in Action
}
"""The full name of the rule that answers each action."""


class QuestionError(Exception):
    """Raised for a policy query that cannot be encoded: a part of it is not JSON."""


def encode_question(question: Question) -> bytes:
    """Encodes a policy query as the input document of the policy rules, in UTF-8 JSON.

    Raises `QuestionError`, also for an integer beyond 2^53 - 1, which engines would round differently.
    """
    try:
        workflow = b""
        if question.workflow is not None:
            workflow = b'"workflow":' + with_all_tasks(question.workflow) + b","
        context = b"{}"
        if question.context:
            context = msgspec.json.encode(question.context)
            _check_integers(question.context)
        # The document comes first, the principal last: of two equal names JSON readers take the last, so not
        # even bytes that end the document early and go on could replace the principal.
        return b'{%b"context":%b,"at":%b,"action":"%b","principal":%b}' % (
            workflow,
            context,
            msgspec.json.encode(question.at),
            question.action.encode(),
            _encode_principal(question.principal),
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise QuestionError(f"the question is not JSON: {error}") from error


def _check_integers(value: Any) -> None:
    """Raises `ValueError` for an integer in `value` that a double cannot represent exactly.

    It checks a query's context: integers in its document were checked when the document was parsed.
    """
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        if isinstance(value, int) and abs(value) > EXACT:
            raise ValueError(f"an integer {UNFAITHFUL}")
        return
    for item in value:
        _check_integers(item)


@lru_cache(maxsize=4096)
def _encode_principal(principal: Principal) -> bytes:
    return msgspec.json.encode(principal)
