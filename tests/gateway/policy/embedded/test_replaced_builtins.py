"""Tests regular expressions in the embedded engine: each gives OPA's answer, or fails where OPA fails."""

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.policy.embedded.interpreter import Interpreter, RuleFailed
from gateway.policy.source import PolicySource
from tests.opa_fixture import OPA, needs_opa

PATTERNS = (
    "^a", "a$", "[0-9]+", r"\d+", r"\w+", r"\s", r"\S+", r"\D", r"\W", r"\bfoo\b", "(a|b)c",
    "a{2,3}", "a{,2}", "[^/]+$", "^[a-z0-9.-]+$", "(?i)AB", "(?:x)y", r"\.", "^$", ".*", "a.c",
    r"[\d.]+", r"[^\w]", "[[:alpha:]]+", r"\pL+", r"\p{Greek}", r"\x41", "a*?", "(?m)^b", "(?s)a.b",
    r"\/", "@sha256:[a-f0-9]{64}", r"\Aab", r"b\z", "(?P<n>a)", "{", "}", "]", "a{b}", r"\-",
    r"[\]]", r"[\-a]", r"\_", r"\<a", r"(?i)\w", "a?b", "k", "(?i)k", r"\Qa.b\E", "[a-z&&[^b]]",
    "[a~~b]", r"\B", r"\012", "(?U)a+", r"[\D]", "[]a]", "(?<n>a)", "(a)|(b)", "a*", "|", "x*", "(a*)(b?)",
    "(?i)\u017f", r"\pN", "é?", r"\\C", "", "$", r"[[:^alpha:]]", r"(?-s).", "a|ab", "(?:)", r"\t", r"\v",
    "(?P<n>a)(?P<n>b)",
)  # fmt: skip
NO_PATTERNS = (
    "(?x)a b", r"\u0041", "x{1001}", "a**", "(?=a)", "[a", r"\N", "*a", r"\é", "(a", "a)", r"\1", r"\C",
    "[a--b]", r"a\\\C", "(?i", "(x{100}){100}", r"\p{Nothing}", r"[b-a]", r"\Z", "[[:none:]]",
)  # fmt: skip
TEXTS = (
    "a", "ab", "abc", "foo bar", "ac", "aa", "a/b", "AB", "xy", "a.b", "A", "b\nb", "a\nb", "é",
    "٣", "_", "-", "]", "a,b", "", "\u00a0", "\u2028", "\u017f", "K", "k", "{", "a{b}", "<a", "fooé",
    "é foo", "\v", "1", "αβ", "aab aab", "😀a😀", r"\C", "\n", "\t",
)  # fmt: skip
FORMS = ("<$0>", "$1", "${1}x", "$1x", "$n", "${n}", "$$", "$", "${", "$9", r"\1", "${x", "$é", "é${0}$")
ANSWERS = """package a

import rego.v1

r := [
	regex.match(input.p, input.t),
	[regex.replace(input.t, input.p, form) | some form in input.forms],
	[regex.find_n(input.p, input.t, n) | some n in [-1, 0, 1, 2]],
	[regex.find_all_string_submatch_n(input.p, input.t, n) | some n in [-1, 0, 1, 2]],
]
"""
BY_OPA = """package b

import rego.v1

r := [answer |
	some p in data.patterns
	some t in data.texts
	answer := data.a.r with input as {"p": p, "t": t, "forms": data.forms}
]
"""


@pytest.fixture(scope="module")
def engine() -> Interpreter:
    return Interpreter(PolicySource(modules=(("a.rego", ANSWERS),), data="{}", entry_points=("data.a.r",)))


def asked(engine: Interpreter, pattern: str, text: str) -> Any:
    question = msgspec.json.encode({"p": pattern, "t": text, "forms": FORMS})
    return msgspec.json.decode(engine.evaluate("data.a.r", question))


@needs_opa
def test_patterns_match_what_they_match_in_opa(tmp_path: Path, engine: Interpreter) -> None:
    """Also what they find and replace, which shows how far each match goes, and where the next begins."""
    data = {"patterns": PATTERNS, "texts": TEXTS, "forms": FORMS}
    (tmp_path / "data.json").write_bytes(msgspec.json.encode(data))
    (tmp_path / "a.rego").write_text(ANSWERS)
    (tmp_path / "b.rego").write_text(BY_OPA)
    command: list[str | Path] = [
        str(OPA),
        "eval",
        "--strict-builtin-errors",
        "--bundle",
        tmp_path,
        "data.b.r",
    ]
    printed = subprocess.run(command, capture_output=True, check=True).stdout
    expected = msgspec.json.decode(printed)["result"][0]["expressions"][0]["value"]
    found = [asked(engine, pattern, text) for pattern in PATTERNS for text in TEXTS]
    assert len(found) == len(expected)
    differing = [
        (pattern, text, one, other)
        for (pattern, text), one, other in zip(
            ((p, t) for p in PATTERNS for t in TEXTS), found, expected, strict=True
        )
        if one != other
    ]
    assert differing == []


@needs_opa
@pytest.mark.parametrize("pattern", NO_PATTERNS)
def test_what_is_no_pattern_to_opa_is_none_here(tmp_path: Path, engine: Interpreter, pattern: str) -> None:
    """Both fail: nothing is decided."""
    (tmp_path / "a.rego").write_text(ANSWERS)
    (tmp_path / "input.json").write_bytes(msgspec.json.encode({"p": pattern, "t": "a", "forms": FORMS}))
    command: list[str | Path] = [
        str(OPA),
        "eval",
        "--strict-builtin-errors",
        "-b",
        tmp_path,
        "-i",
        tmp_path / "input.json",
    ]
    assert subprocess.run([*command, "data.a.r"], capture_output=True, check=False).returncode != 0
    with pytest.raises(RuleFailed):
        asked(engine, pattern, "a")
