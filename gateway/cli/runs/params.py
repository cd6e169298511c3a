"""Encodes the body of a submission: a workflow document with its params and targets set by options."""

import re
from typing import Any, Final

import msgspec

from gateway.cli.documents import JSON, detect_media_type, read_bytes, read_value
from gateway.cli.errors import CliError, Exit
from waypost.suggestions import closest

TEXT: Final = "text"
ANY: Final = "anything"


def read_document(file: str, params: tuple[str, ...], targets: tuple[str, ...] = ()) -> tuple[bytes, str]:
    """Returns the bytes and the media type of the workflow document `file`, with params and targets set.

    Without both the bytes are the file's content; otherwise the document is decoded, changed and encoded as
    JSON. Raises `CliError` for a file that cannot be read or has no `spec`, and for a param of a
    wrong form, name or type.
    """
    body = read_bytes(file)
    media_type = detect_media_type(body)
    # Without them nothing is read here: what is wrong with the document is for the gateway to say.
    if not params and not targets:
        return body, media_type
    document = read_value(file, body, media_type)
    try:
        spec = document["spec"]
        if params:
            known = spec.get("params", {})
            spec["params"] = known | dict(_read_param(param, known, body.decode()) for param in params)
        if targets:
            spec["targets"] = list(targets)
    except (TypeError, KeyError, AttributeError) as error:
        raise CliError(f"{file} has no spec that could have params", code=Exit.USAGE) from error
    return msgspec.json.encode(document), JSON


def named_submission(
    workflow: str, params: tuple[str, ...], targets: tuple[str, ...] = ()
) -> tuple[bytes, str]:
    """Encodes the body of a submission that names a released workflow, with values for its parameters.

    The value of each parameter is read as JSON, or else as text. Numbers are sent as they are written, since
    the gateway takes them as text for a parameter that is one.
    """
    values = dict(_read_any(param) for param in params)
    body = {"workflow": workflow, "params": values} | ({"targets": targets} if targets else {})
    return msgspec.json.encode(body), JSON


def _read_any(param: str) -> tuple[str, Any]:
    name, equals, given = param.partition("=")
    if not equals or not name:
        raise CliError(f"--param {param}: write name=value", code=Exit.USAGE)
    try:
        msgspec.json.decode(given)
    except msgspec.DecodeError:
        return name, given
    return name, msgspec.Raw(given.strip().encode())


def _read_param(param: str, known: dict[str, Any], text: str) -> tuple[str, Any]:
    """Parses one option `--param name=value` into a name and a typed value.

    `known` are the document's params, `text` is the document itself. The document's own value decides the
    type: where it is text or absent, the value is text, so that 42 stays text; where it is null, any JSON or
    else text; elsewhere JSON of the same type. Raises `CliError` for another type, for text without `=`, and
    for a name that is neither in `known`, unless that is empty, nor in a placeholder in `text`.
    """
    name, equals, given = param.partition("=")
    if not equals or not name:
        raise CliError(f"--param {param}: write name=value", code=Exit.USAGE)
    # A name that neither stands under params nor in a placeholder of the document is a misspelt one. Without
    # any params in the document it may be right: a task can read it from its input.
    if known and name not in known and not re.search(rf"params\.{re.escape(name)}(?![\w-])", text):
        near = closest(name, known)
        meant = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
        raise CliError(f"--param {param}: there is no params.{name}; {meant}", code=Exit.USAGE)
    default = known.get(name, "")
    expected = _type_name(default)
    if expected == TEXT:
        return name, given
    try:
        value = msgspec.json.decode(given)
    except msgspec.DecodeError:
        value = given
    if expected not in (ANY, _type_name(value)):
        example = msgspec.json.encode(default).decode()
        raise CliError(
            f"--param {param}: must be {expected}, like the {example:.40} in the document", code=Exit.USAGE
        )
    return name, value


def _type_name(value: Any) -> str:
    match value:
        case None:
            return ANY
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case list():
            return "a list in JSON"
        case dict():
            return "an object in JSON"
    return TEXT
