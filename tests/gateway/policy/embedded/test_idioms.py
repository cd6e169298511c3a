"""Tests that common Rego idioms give the same values in the embedded engine as in OPA."""

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.policy.embedded.gate import check_rules, nondeterministic_calls
from gateway.policy.embedded.interpreter import UNDEFINED, Interpreter, parse_modules
from gateway.policy.embedded.syntax_tree import Module, head_of, is_plain, only
from gateway.policy.question import encode_question
from gateway.policy.source import BundleError, PolicySource
from tests.gateway.policy.embedded.generated_questions import questions
from tests.gateway.policy.embedded.opa_cases import unordered
from tests.opa_fixture import OPA, needs_opa

IDIOMS = Path(__file__).with_name("idioms")
MODULES = (
    *(
        # Each in a package of its own, so that all are asked in one call.
        (path.name, path.read_text().replace("package idiom", f"package idiom.{path.stem}", 1))
        for path in sorted(IDIOMS.glob("*.rego"))
    ),
    (
        "imports.rego",
        "package idiom.imports\nimport data.idiom.sets as kept\nimport data.idiom.sets.need\n"
        "import input.workflow as document\n"
        "left := kept.need - object.keys(document.metadata.labels)\nsame if need == kept.need\n"
        "deny contains name if some name in kept.missing\n",
    ),
    # One package in two files.
    ("more.rego", "package idiom.imports\ncomplete if count(left) == 0\ndeny contains 1 if not complete\n"),
)
DOCUMENTS = (
    *(encode_question(question) for question in questions(40, seed=11)),
    b"{}",
    b'{"workflow":{"metadata":{"labels":{}},"spec":{"tasks":[]}}}',
    b'{"workflow":{"metadata":{"name":"a","labels":{"team":""}},"spec":{"tasks":[{"name":"t"}]}}}',
)
REFUSED = {
    "crypto": ("x := crypto.sha256(input.a)", "crypto.sha256 is not here: absent"),
    "glob": ('x if glob.match("*.a", ["."], input.a)', "glob.match is not here: reads"),
    "cidr": ('x if net.cidr_contains("10.0.0.0/8", input.a)', "net.cidr_contains is not here: takes"),
    "jwt": ("x := io.jwt.decode(input.a)", "io.jwt.decode is not here: absent"),
    "time": ("x := time.parse_rfc3339_ns(input.a)", "time.parse_rfc3339_ns is not here: takes"),
    "units": ("x := units.parse_bytes(input.a)", "units.parse_bytes is not here: rounds"),
    "metadata": ("x := rego.metadata.rule()", "rego.metadata.rule is not here: absent"),
    "replace": ("x := strings.replace_n({}, input.a)", "strings.replace_n is not here: replaces"),
    "walk in a call": ("x := count(walk(input))", "the values of `walk` have no name here"),
    "walk below not": ("x if not walk(input)", "the values of `walk` have no name here"),
    "interpolation": ('x := $"a {input.a}"', "the embedded engine cannot read this"),
    "function without body": ("f(1)", "the embedded engine cannot read this: rule must have a body or"),
}


def complete_rules(modules: list[Module]) -> set[tuple[str, ...]]:
    """Returns the full names of the rules that can be queried: no functions; keyed rules as a whole."""
    return {
        module.resolve(head_of(rule)["refr"])
        for module in modules
        for rule in module.rules
        if "Func" not in only(rule)[1].get("head", {}) and "args" not in head_of(rule)
        if is_plain(head_of(rule)["refr"]) or only(rule)[0] != "Default"
    }


def in_opa(folder: Path) -> list[Any]:
    """Returns the value of `data.idiom` for each document, computed by OPA in strict mode."""
    for name, text in MODULES:
        (folder / name).write_text(text)
    inputs = {"questions": [msgspec.Raw(document) for document in DOCUMENTS]}
    (folder / "data.json").write_bytes(msgspec.json.encode(inputs))
    query = "[found | some asked in data.questions; found := data.idiom with input as asked]"
    command = [
        str(OPA),
        "eval",
        "--strict-builtin-errors",
        "--bundle",
        str(folder),
        "--format",
        "json",
        query,
    ]
    printed = subprocess.run(command, capture_output=True, check=False).stdout
    answer = msgspec.json.decode(printed)
    assert "errors" not in answer, answer
    values: list[Any] = answer["result"][0]["expressions"][0]["value"]
    return values


def value_at(found: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        found = found.get(name, UNDEFINED) if isinstance(found, dict) else UNDEFINED
    return found


@needs_opa
def test_idioms_answer_as_in_opa(tmp_path: Path) -> None:
    """Rule by rule, on whole documents and on such in which much is missing."""
    modules = parse_modules(MODULES)
    assert [*nondeterministic_calls(modules), *check_rules(modules)] == []
    interpreter = Interpreter(PolicySource(modules=MODULES, data="{}", entry_points=()))
    rules = complete_rules(modules)
    assert len(rules) > 100
    for document, theirs in zip(DOCUMENTS, in_opa(tmp_path), strict=True):
        for path in rules:
            text = interpreter.evaluate(".".join(path), document)
            own = UNDEFINED if text == UNDEFINED else msgspec.json.decode(text)
            assert unordered(own) == unordered(value_at(theirs, path[2:])), (path, document)


@pytest.mark.parametrize(("rule", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_here_is_refused_with_one_message(rule: str, message: str) -> None:
    """With its line, and that it works on OPA."""
    try:
        modules = parse_modules((("a.rego", f"package a\n\n{rule}\n"),))
        found = [*nondeterministic_calls(modules), *check_rules(modules)]
    except BundleError as error:
        found = list(error.diagnostics)
    (only_one,) = found
    assert str(only_one).startswith(f"a.rego:3: {message}")
    assert "works on OPA: set policy.engine" in only_one.detail
