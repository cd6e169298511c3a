"""Evaluates small Rego rules on the embedded engine and on a real OPA in strict mode, and compares values.

Each rule stands in a package of its own, beside the rules of `beside.rego`; one OPA holds all packages.
"""

import asyncio
import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.cli.dev.opa_process import OpaProcess
from gateway.policy.embedded.gate import check_rules
from gateway.policy.embedded.interpreter import UNDEFINED, EvaluationError, Interpreter, parse_modules
from gateway.policy.opa.address import parse_address
from gateway.policy.opa.client import StrictOpaClient
from gateway.policy.opa.reply import ReplyError
from gateway.policy.source import BundleError, Diagnostic, PolicySource
from tests.opa_fixture import OPA

HERE: Final = Path(__file__).parent
WORD: Final = re.compile(r"[a-z_]+\w*")
DATA: Final = {"allowed": ["NET_ADMIN", "x"], "limits": {"x": {"cpu": 3}}}
DOCUMENTS: Final[Sequence[dict[str, Any]]] = (
    {
        "tasks": [
            {
                "name": "a",
                "image": "docker.io/x/y:1",
                "env": {"A": "1", "SECRET_KEY": "z"},
                "needs": [],
                "res": {"cpu": 2},
            },
            {"name": "b", "env": None, "needs": ["a"], "caps": ["NET_ADMIN"]},
            {"name": "c", "needs": ["a", "b"], "image": "gcr.io/p@sha256:ab", "res": {"cpu": None}},
        ],
        "labels": {"team": "x", "cost": "7"},
        "pri": 5,
        "groups": ["dev", "ops"],
        "user": {"name": "ada", "roles": ["r1"]},
        "flag": False,
    },
    {"tasks": [], "labels": {}, "pri": None, "groups": [], "flag": True},
    {},
    {
        "tasks": [{"name": "a"}, {"name": "a", "needs": None}],
        "labels": None,
        "pri": "9",
        "groups": ["admin"],
        "user": {},
        "flag": None,
    },
)
"""Inputs: an ordinary one, an empty one, one without any field, and one with fields of other types."""

FAILS: Final = "fails"
"""The value of a rule whose evaluation ends in an error."""
NONE: Final = "undefined"
"""The value of a rule that is undefined."""
AT_ONCE: Final = 50


def name_of(rule: str) -> str:
    """Returns the name that the text of a rule or function begins with."""
    return str(WORD.findall(rule.removeprefix("default "))[0])


def beside() -> dict[str, str]:
    """Returns the rules that small rules may use, by name."""
    found = dict[str, str]()
    for block in (HERE / "beside.rego").read_text().strip().split("\n\n"):
        found[name_of(block)] = f"{found.get(name_of(block), '')}\n{block}\n"
    return found


BESIDE: Final = beside()


def module_of(number: int, rule: str) -> str:
    """Returns a module with the rule, those that it uses, and `answer`, which is the value of the rule."""
    used, texts = set[str](), [f"answer := {name_of(rule)}\n\n{rule}\n"]
    while words := {word for text in texts for word in WORD.findall(text)} & BESIDE.keys() - used:
        used |= words
        texts += [BESIDE[word] for word in sorted(words)]
    return f"package r{number}\n\nimport rego.v1\n\n{''.join(texts)}"


def canonical(value: Any) -> str:
    """Writes a JSON value so that equal values of Rego have the same text: 1.0 is 1, and true is no 1."""
    return json.dumps(_canonical(value), sort_keys=True)


def _canonical(value: Any) -> Any:
    match value:
        case dict():
            return {name: _canonical(item) for name, item in value.items()}
        case list():
            return [_canonical(item) for item in value]
        case float():
            return int(value) if value.is_integer() else value
    return value


def embedded_values(number: int, rule: str) -> list[str] | list[Diagnostic]:
    """Returns the rule's value for each document, or the diagnostics with which the gate refuses it."""
    modules = (("a.rego", module_of(number, rule)),)
    name = f"data.r{number}.answer"
    source = PolicySource(modules=modules, data=json.dumps(DATA), entry_points=(name,))
    try:
        if diagnostics := check_rules(parse_modules(modules)):
            return diagnostics
        interpreter = Interpreter(source)
    except BundleError as error:
        return list(error.diagnostics)
    return [_embedded_value(interpreter, name, msgspec.json.encode(document)) for document in DOCUMENTS]


def _embedded_value(interpreter: Interpreter, name: str, document: bytes) -> str:
    try:
        text = interpreter.evaluate(name, document)
    except EvaluationError:
        return FAILS
    return NONE if text == UNDEFINED else canonical(msgspec.json.decode(text))


def compiled_by_opa(rules: Sequence[str], folder: Path) -> set[int]:
    """Writes each rule that OPA compiles to `folder`, and returns their numbers.

    OPA loads all modules of a folder or none.
    """
    assert OPA is not None
    for number, rule in enumerate(rules):
        (folder / f"r{number}.rego").write_text(module_of(number, rule))
    left = set(range(len(rules)))
    # Some mistakes are only looked for where there are none of another kind.
    while True:
        words = [str(OPA), "check", "--max-errors=-1", "--format", "json", str(folder)]
        ran = subprocess.run(words, capture_output=True, check=False)
        if not ran.returncode:
            return left
        errors = json.loads(ran.stdout or ran.stderr)["errors"]
        refused = {int(Path(one["location"]["file"]).stem.removeprefix("r")) for one in errors}
        assert refused & left, errors
        for number in refused & left:
            (folder / f"r{number}.rego").unlink()
        left -= refused


async def values_of_opa(rules: Sequence[str], folder: Path) -> dict[int, list[str]]:
    """Returns, by number, the values of each rule that OPA compiles, for each document."""
    assert OPA is not None
    bundle = folder / "bundle"
    bundle.mkdir()
    numbers = sorted(compiled_by_opa(rules, bundle))
    (bundle / "data.json").write_bytes(msgspec.json.encode(DATA))
    documents = [msgspec.json.encode(document) for document in DOCUMENTS]
    opa = OpaProcess(OPA, bundle, folder / "opa.sock", log=folder / "opa.log")
    found = dict[int, list[str]]()
    async with opa, StrictOpaClient(parse_address(opa.engine)) as client:

        async def ask(number: int) -> None:
            name = f"data.r{number}.answer"
            found[number] = [await _opa_value(client, name, document) for document in documents]

        for start in range(0, len(numbers), AT_ONCE):
            await asyncio.gather(*map(ask, numbers[start : start + AT_ONCE]))
    return found


async def _opa_value(client: StrictOpaClient, name: str, document: bytes) -> str:
    try:
        reply = await client.ask(name, document)
    except ReplyError:
        return FAILS
    return (
        NONE if isinstance(reply.result, msgspec.UnsetType) else canonical(msgspec.json.decode(reply.result))
    )
