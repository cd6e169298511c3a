"""Tests that the list of builtins is complete, and that the embedded engine computes them as OPA does."""

import json
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import msgspec

from gateway.policy.embedded.builtins import BUILTINS, Support
from gateway.policy.embedded.interpreter import EvaluationError, Interpreter
from gateway.policy.embedded.replaced_builtins import lower, upper
from gateway.policy.source import PolicySource
from tests.opa_fixture import OPA, needs_opa

STRINGS = (
    "", "a", "ABC", " a b ", "ß", "İ", "ΑΣ", "é", "雪", "a/b/c", "a.b", "//", "%d", "0", "-1", "1.5", "1.2.3",
    "1.2.4-rc1", "10.0.0.0/8", "2020-01-01T00:00:00Z", "1h30m", "aGVsbG8=", "68656c", "zz", "{}", "[1,2]",
    "nul", "a: 1", "a.*", "(", "UTC", "aaaa", "\t", "Docker.IO/x",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 3, 10, 0.5, -2.5, 1577836800000000000, 2**53 - 1)
OTHERS: tuple[Any, ...] = (
    None, True, [], [1, 2, 3], ["a", "b"], ["a", "a"], [[1], [2, 3]], {}, {"a": 1, "b": {"c": 2}},
    [{"a": 1}, {"b": 2}], {"a": ["b"], "b": ["a"]}, [{"op": "add", "path": "/a", "value": 2}],
)  # fmt: skip
NOT_COMPARED = {"numbers.range", "numbers.range_step", "print", "trace"}
"""The builtins that are not compared here, since they produce much or write; the suite covers them."""


def capabilities() -> list[dict[str, Any]]:
    printed = subprocess.run([str(OPA), "capabilities", "--current"], capture_output=True, check=True).stdout
    builtins: list[dict[str, Any]] = json.loads(printed)["builtins"]
    return builtins


def argument_lists(builtin: dict[str, Any]) -> list[list[Any]]:
    """Returns lists of arguments of the declared types, each value at least once, and wrong ones."""
    pools = [_pool(argument) for argument in builtin["decl"].get("args", ())]
    length = max(map(len, pools), default=0)
    # Steps that share no factor with the lengths: every value meets many others.
    return [
        [pool[(row * (7 * place + 1)) % len(pool)] for place, pool in enumerate(pools)]
        for row in range(2 * length)
    ]


def _pool(argument: dict[str, Any]) -> tuple[Any, ...]:
    match argument.get("type"):
        case "string":
            return (*STRINGS, 1)
        case "number":
            return (*NUMBERS, "1")
        case _:
            return (*OTHERS, *STRINGS[:12], *NUMBERS[:4])


@needs_opa
def test_the_list_names_builtins_of_opa() -> None:
    """What the list lacks is refused; none of it depends on more than its arguments."""
    names = {builtin["name"] for builtin in capabilities()}
    assert names > BUILTINS.keys()
    nondeterministic = {builtin["name"] for builtin in capabilities() if builtin.get("nondeterministic")}
    never = {name for name, one in BUILTINS.items() if one.support is Support.NEVER}
    usable = {name for name, one in BUILTINS.items() if one.support in (Support.SAME, Support.NEARLY)}
    assert never <= nondeterministic
    assert usable.isdisjoint(nondeterministic)


@needs_opa
def test_what_is_called_the_same_is_the_same(tmp_path: Path) -> None:
    """For each builtin the same values as OPA, or a failure: never a value where OPA fails or has another."""
    same = [
        builtin
        for builtin in capabilities()
        if (known := BUILTINS.get(builtin["name"])) is not None
        and known.support is Support.SAME
        and builtin["name"] not in NOT_COMPARED
        and builtin["decl"].get("args")
    ]
    asked = {builtin["name"]: argument_lists(builtin) for builtin in same}
    calls = {builtin["name"]: _call(builtin) for builtin in same}
    rules = "".join(
        f'r["{name}"] := [[x | x := {call}] | some a in data.asked["{name}"]]\n'
        for name, call in calls.items()
    )
    (tmp_path / "a.rego").write_text(f"package a\n{rules}")
    (tmp_path / "data.json").write_text(json.dumps({"asked": asked}))
    printed = subprocess.run(
        [str(OPA), "eval", "--bundle", tmp_path, "data.a.r"], capture_output=True, check=True
    ).stdout
    wanted = json.loads(printed)["result"][0]["expressions"][0]["value"]
    different = []
    for builtin in same:
        text = f"package a\nr := [x | a := input.a; x := {_call(builtin)}]\n"
        interpreter = Interpreter(PolicySource(modules=(("a.rego", text),), data="{}", entry_points=()))
        for arguments, theirs in zip(asked[builtin["name"]], wanted[builtin["name"]], strict=True):
            try:
                own = json.loads(interpreter.evaluate("data.a.r", msgspec.json.encode({"a": arguments})))
            except EvaluationError:
                continue  # a failure refuses, whatever OPA would have said
            if own != theirs:
                different.append((builtin["name"], arguments, own, theirs))
    assert different == []


def _call(builtin: dict[str, Any]) -> str:
    """Returns the Rego call of a builtin with arguments from `a`; a set is built of a list's items."""
    arguments = [
        f"{{e | some e in a[{place}]}}" if argument.get("type") == "set" else f"a[{place}]"
        for place, argument in enumerate(builtin["decl"]["args"])
    ]
    return f"{builtin['name']}({', '.join(arguments)})"


@needs_opa
def test_letters_change_as_in_opa(tmp_path: Path) -> None:
    """All that Python and OPA both know."""
    letters = [
        letter
        for letter in map(chr, range(0x110000))
        if unicodedata.category(letter)[0] in "LMN" and not "\ud800" <= letter <= "\udfff"
    ]
    (tmp_path / "data.json").write_text(json.dumps({"letters": letters}))
    (tmp_path / "a.rego").write_text("package a\nr := [[lower(x), upper(x)] | some x in data.letters]\n")
    printed = subprocess.run(
        [str(OPA), "eval", "--bundle", tmp_path, "data.a.r"], capture_output=True, check=True
    ).stdout
    wanted = json.loads(printed)["result"][0]["expressions"][0]["value"]
    assert [[lower(letter), upper(letter)] for letter in letters] == wanted
