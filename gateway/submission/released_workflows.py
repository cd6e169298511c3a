"""Submissions of a released workflow by its name: finds the version that runs, and sets its parameters."""

import hashlib
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from gateway.core.errors import Invalid, NotFound
from gateway.core.workflow_release import ReleasedWorkflow, label_of, version_for
from gateway.documents.parsing import DOCUMENT_FIELDS, parse_json
from gateway.documents.workflow import DnsLabel
from gateway.store.workflows import KeepsWorkflows
from waypost.json_pointer import FieldError, below

REQUEST_MAXIMUM_BYTES: Final = 65_536
"""The maximum size in bytes of a submission by name, which is parsed on the event loop."""
VERSION_MAXIMUM_BYTES: Final = 262_144
"""The maximum size in bytes of a version's document, in which the event loop sets parameters."""
DOCUMENT_START: Final = b'{"apiVersion":'
KINDS: Final = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}
"""The names of JSON's types, by the Python type of a value."""
SCALARS: Final = ("a number", "true or false")
_decode_names = msgspec.json.Decoder(dict[str, Raw]).decode


class RunOfRelease(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a submission by name: the released workflow's name, values for its parameters, targets."""

    workflow: DnsLabel
    params: dict[str, Any] = {}
    targets: tuple[str, ...] = ()
    """The tasks that run, with what they need; in place of those of the document, all if there are none."""


class ReleasedDocument(Struct, frozen=True, kw_only=True):
    """The workflow document that a submission by name runs. `label` names its version: `nightly@3`."""

    label: str
    document: bytes
    requested: bytes
    """The SHA-256 of the submission by name: of the workflow's name, the parameters and the targets."""


def names_a_release(body: bytes) -> bool:
    """Returns whether the JSON body of a submission names a released workflow, and is no document itself."""
    # Nearly every document begins like this, and hardly one has the word: little of those is parsed here.
    if body.startswith(DOCUMENT_START) or len(body) > REQUEST_MAXIMUM_BYTES or b'"workflow"' not in body:
        return False
    try:
        names = _decode_names(body)
    except msgspec.DecodeError:
        return False
    return "workflow" in names and not DOCUMENT_FIELDS & set(names)


async def released_document(
    body: bytes, *, tenant: str, chance: bytes, store: KeepsWorkflows
) -> ReleasedDocument:
    """Returns the document of the version that a submission by name runs, with its parameters set.

    `chance` chooses between canary and stable version: the same bytes choose the same. Raises `Invalid` for
    a body or parameters that do not fit, each with a JSON pointer, and `NotFound` if the tenant has no such
    workflow or its document is not kept any more.
    """
    asked = parse_json(body, RunOfRelease)
    workflow = await store.released_workflow(tenant, asked.workflow)
    version = None if workflow is None else version_for(workflow, _part(workflow, chance))
    if workflow is None or version is None:
        raise NotFound(f"there is no released workflow {asked.workflow}")
    document = await store.workflow_document(tenant, asked.workflow, version.number)
    if document is None:
        raise NotFound(f"the document of {label_of(workflow, version)} is not kept any more")
    return ReleasedDocument(
        label=label_of(workflow, version),
        document=_with_targets(_with_params(document, asked.params, body), asked.targets),
        requested=hashlib.sha256(_requested(asked)).digest(),
    )


def _requested(asked: RunOfRelease) -> bytes:
    """Encodes what was asked for, to recognize the same submission under the same Idempotency-Key."""
    fields = msgspec.to_builtins(asked, order="sorted")
    # Without targets it is what versions wrote that had none.
    return msgspec.json.encode({name: value for name, value in fields.items() if name != "targets" or value})


def _with_targets(document: bytes, targets: tuple[str, ...]) -> bytes:
    """Returns the document with `targets` set, unless they are empty."""
    if not targets:
        return document
    found = msgspec.json.decode(document)
    # A submission may name as many as fit in, and the event loop looks each up.
    known = {task["name"] for task in found["spec"]["tasks"]}
    errors = [
        FieldError(f"/targets/{index}", f"there is no task {target[:128]}")
        for index, target in enumerate(targets)
        if target not in known
    ]
    if errors:
        raise Invalid("the released workflow has no such task", errors=errors)
    found["spec"]["targets"] = targets
    return msgspec.json.encode(found)


def _part(workflow: ReleasedWorkflow, chance: bytes) -> float:
    digest = hashlib.sha256(f"{workflow.tenant}/{workflow.name}/".encode() + chance).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _with_params(document: bytes, params: dict[str, Any], body: bytes) -> bytes:
    """Returns the document with `params` set, which are those of the submission's `body`."""
    if not params:
        return document
    found = msgspec.json.decode(document)
    known = found["spec"].get("params", {})
    unknown = sorted(set(params) - set(known))
    if unknown:
        names = ", ".join(sorted(known)) or "none"
        errors = [FieldError(below("/params", name), f"there are: {names}") for name in unknown]
        raise Invalid("the released workflow has no such parameter", errors=errors)
    params = params | _texts(params, known, body)
    errors = [
        FieldError(below("/params", name), f"must be {KINDS[type(known[name])]}, as in the workflow")
        for name, value in params.items()
        # A null in the workflow says nothing about what is meant.
        if known[name] is not None and KINDS[type(known[name])] != KINDS[type(value)]
    ]
    if errors:
        raise Invalid("a parameter is of another type than in the released workflow", errors=errors)
    found["spec"]["params"] = known | params
    return msgspec.json.encode(found)


def _texts(params: dict[str, Any], known: dict[str, Any], body: bytes) -> dict[str, str]:
    """Returns those numbers and booleans of `params` that are texts in the workflow, as they are written.

    Command lines and CI systems have a build 42 or 1.10 without quotes, and mean the text.
    """
    meant = [
        name for name, value in params.items() if type(known[name]) is str and KINDS[type(value)] in SCALARS
    ]
    # In `params` 1.10 is 1.1.
    written = _decode_names(_decode_names(body)["params"]) if meant else {}
    return {name: bytes(written[name]).decode() for name in meant}
