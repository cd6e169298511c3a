"""Masks a policy query for the record of its decision: removes the values that policy asks to leave out.

Performs no I/O.
"""

import copy
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import structs

from gateway.core.decision import Question
from gateway.core.principal import Principal
from gateway.policy.all_tasks import places_in_document
from waypost.json_pointer import parts_of

MASKABLE_CLAIMS: Final = {"client": "", "scopes": (), "groups": ()}
"""The caller's claims that may be left out, with their replacements. The caller's identity is always kept."""


def masked(question: Question, pointers: Sequence[str]) -> Question:
    """Returns a policy query without the values at `pointers`, JSON pointers into the rules' input.

    A pointer that leads nowhere removes nothing. The caller's subject, issuer and tenant always stay.
    """
    if not pointers:
        return question
    workflow: Any = None if question.workflow is None else msgspec.json.decode(question.workflow)
    document = {"workflow": workflow, "context": copy.deepcopy(question.context)}
    principal, changed = question.principal, False
    for pointer in pointers:
        part, *rest = parts_of(pointer) or [""]
        if part == "principal":
            principal = _without_claim(principal, rest)
        elif part in document and not rest:
            document[part] = None if part == "workflow" else {}
            changed = True
        elif part in document:
            places = places_in_document(rest, workflow) if part == "workflow" else [rest]
            for place in places:
                changed |= _remove(document[part], place)
    if not changed:
        return structs.replace(question, principal=principal)
    return structs.replace(
        question,
        principal=principal,
        workflow=None if document["workflow"] is None else msgspec.json.encode(document["workflow"]),
        context=document["context"],
    )


def unanswered(question: Question) -> Question:
    """Returns a policy query without its document and context (but with its run's id), for the record.

    It is for queries that got no answer: then no rule has said which values to mask.
    """
    run = question.context.get("run")
    named = {"run": {"id": run["id"]}} if isinstance(run, dict) and isinstance(run.get("id"), str) else {}
    return structs.replace(question, workflow=None, context=named)


def _without_claim(principal: Principal, path: Sequence[str]) -> Principal:
    """Returns the caller without the claim named by `path`'s first part: client, scopes or groups.

    An empty path stands for all three. No other claim is removed.
    """
    names = path[:1] or list(MASKABLE_CLAIMS)
    left_out = {name: MASKABLE_CLAIMS[name] for name in names if name in MASKABLE_CLAIMS}
    return structs.replace(principal, **left_out)


def _remove(value: Any, path: Sequence[str]) -> bool:
    """Removes the value at `path` from `value`, in place; an item of a list becomes null.

    Returns False where there is no such value.
    """
    *parents, last = path
    for part in parents:
        value = _child(value, part)
    if isinstance(value, dict) and last in value:
        del value[last]
        return True
    if isinstance(value, list) and last.isdigit() and int(last) < len(value):
        # Its neighbours keep their numbers.
        value[int(last)] = None
        return True
    return False


def _child(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and part.isdigit() and int(part) < len(value):
        return value[int(part)]
    return None
