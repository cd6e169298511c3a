"""Writes the reference pages of the documentation's site from the code: settings, commands, API, document.

They are written when the site is built (`make docs`), and are not in Git: nothing there can be out of date.
"""

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect as types

from clusters.embedded.executors.registry import EXECUTORS
from gateway.__main__ import app
from gateway.api.openapi import openapi_document
from gateway.api.routes import OPERATIONS
from gateway.documents.parsing import document_schema
from gateway.settings import GatewaySettings

PAGES: Final = ("settings", "command-line", "api-calls", "workflow-document")
"""The names of the pages, which are also those of the files."""


def write_reference(folder: Path) -> None:
    """Writes every page of the reference into `folder`."""
    folder.mkdir(exist_ok=True)
    texts = (settings(), command_line(), api_calls(), workflow_document())
    for name, text in zip(PAGES, texts, strict=True):
        (folder / f"{name}.md").write_text(text)


def command_line() -> str:
    """The page of all commands with their options, from the command line's own help."""
    return app.generate_docs(output_format="markdown", recursive=True)


def settings() -> str:
    """The page of all settings of a gateway and of the executors of a cluster."""
    parts = [
        "# Settings",
        "A table of the settings file each, or the environment: `WAYPOST_REQUESTS__PAGE_MAXIMUM=100` is"
        " `page_maximum` of the table `[requests]`.",
        "## Of a gateway",
        *_group(GatewaySettings, ""),
        "## Of the executors of a cluster",
    ]
    for name, entry in EXECUTORS.items():
        parts += _group(entry.settings, f"executors.{name}")
    return "\n\n".join(parts) + "\n"


def _group(group: type[msgspec.Struct], path: str) -> Iterator[str]:
    """The section of one group of settings, then those of the groups in it."""
    texts, inner = _field_texts(group), list[tuple[str, type[msgspec.Struct]]]()
    rows = ["| setting | type | default | meaning |", "| --- | --- | --- | --- |"]
    known = types.type_info(group)
    assert isinstance(known, types.StructType)
    for field in known.fields:
        below, name = _struct_in(field.type), f"{path}.{field.name}".lstrip(".")
        if below is not None:
            inner.append((name + ("[]" if isinstance(field.type, types.VarTupleType) else ""), below))
        kind = f"[below](#{_anchor(inner[-1][0])})" if below is not None else _type_text(field.type)
        rows.append(f"| `{field.name}` | {kind} | {_default(field)} | {texts.get(field.name, '')} |")
    if path:
        yield f"### `[{path}]`"
    yield _one_line(inspect.getdoc(group) or "")
    if len(rows) > 2:
        yield "\n".join(rows)
    for name, below in inner:
        yield from _group(below, name)


def _anchor(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum() or letter in "_-")


def _field_texts(group: type[msgspec.Struct]) -> dict[str, str]:
    """The meaning of each field, which stands as a text beneath it."""
    (definition,) = ast.parse(inspect.getsource(group)).body
    assert isinstance(definition, ast.ClassDef)
    texts = dict[str, str]()
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            texts[field.target.id] = _one_line(inspect.cleandoc(str(text.value.value)))
    return texts


def _struct_in(known: types.Type) -> type[msgspec.Struct] | None:
    """The group of settings that a field is, or is a list of."""
    match known:
        case types.StructType(cls=group):
            return group
        case types.VarTupleType(item_type=item):
            return _struct_in(item)
        case types.UnionType(types=options):
            return next(filter(None, map(_struct_in, options)), None)
    return None


def _type_text(known: types.Type) -> str:
    match known:
        case types.Metadata(type=described):
            return _type_text(described)
        case types.UnionType(types=options):
            return " or ".join(_type_text(one) for one in options if not isinstance(one, types.NoneType))
        case types.LiteralType(values=values):
            return ", ".join(f"`{value}`" for value in values)
        case types.VarTupleType(item_type=item):
            return f"list of {_type_text(item)}"
        case types.DictType(value_type=value):
            return f"table of {_type_text(value)}"
        case types.CustomType():
            return "secret"
    return type(known).__name__.removesuffix("Type").lower()


def _default(field: types.Field) -> str:
    if field.required:
        return "required"
    value = field.default
    if value is msgspec.NODEFAULT or isinstance(value, msgspec.Struct):
        return ""
    return "" if value in (None, ()) else f"`{value}`"


def api_calls() -> str:
    """The page of all calls of the API, from its OpenAPI document."""
    document = openapi_document(OPERATIONS)
    parts = ["# API calls", "From `/openapi.json`, which a gateway serves. [api.md](../api.md) has examples."]
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            parts += [f"## {method.upper()} {path}", call.get("summary", ""), call.get("description", "")]
            rows = [
                f"| `{one['name']}` | {one['in']} | {_one_line(one.get('description', ''))} |"
                for one in (_resolved(found, document) for found in call.get("parameters", ()))
            ]
            if rows:
                parts.append("\n".join(["| parameter | in | meaning |", "| --- | --- | --- |", *rows]))
            answers = ", ".join(
                f"{status} {_one_line(answer.get('description', ''))}".strip()
                for status, answer in call["responses"].items()
            )
            parts.append(f"Answers: {answers}.")
    return "\n\n".join(filter(None, parts)) + "\n"


def workflow_document() -> str:
    """The page of all fields of a workflow document, from its JSON Schema."""
    schema = document_schema()
    parts = [
        "# The workflow document",
        "From `/v1/schema/workflow.json`, which a gateway serves."
        " [workflows.md](../workflows.md) explains it.",
    ]
    for name, kind in schema["$defs"].items():
        rows = ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
        required = kind.get("required", ())
        for field, value in kind.get("properties", {}).items():
            default = "required" if field in required else _json(value.get("default"))
            meaning = _one_line(value.get("description", ""))
            rows.append(f"| `{field}` | {_schema_type(value)} | {default} | {meaning} |")
        parts += [f"## {name}", _one_line(kind.get("description", ""))]
        if len(rows) > 2:
            parts.append("\n".join(rows))
    return "\n\n".join(filter(None, parts)) + "\n"


def _schema_type(value: Mapping[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if options := value.get("anyOf"):
        return " or ".join(_schema_type(one) for one in options if one != {"type": "null"})
    if "enum" in value:
        return ", ".join(f"`{one}`" for one in value["enum"])
    if value.get("type") == "array":
        return f"list of {_schema_type(value.get('items', {}))}"
    return str(value.get("type", "any JSON"))


def _json(value: Any) -> str:
    return "" if value in (None, {}, []) else f"`{msgspec.json.encode(value).decode()}`"


def _resolved(found: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    node: Any = found
    while "$ref" in node:
        node = document
        for name in found["$ref"].removeprefix("#/").split("/"):
            node = node[name]
    return node  # type: ignore[no-any-return]  # a part of a JSON document


def _one_line(text: str) -> str:
    """`text` as one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
