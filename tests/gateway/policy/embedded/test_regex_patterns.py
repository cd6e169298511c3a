"""Tests patterns of Go's RE2 in Rust's regex: each gives OPA's answer, or is refused."""

import subprocess
from pathlib import Path

import msgspec
import pytest
import regorus

from gateway.policy.embedded.regex_patterns import PatternError, translate_pattern
from tests.opa_fixture import OPA, needs_opa

PATTERNS = (
    "^a", "a$", "[0-9]+", r"\d+", r"\w+", r"\s", r"\S+", r"\D", r"\W", r"\bfoo\b", "(a|b)c",
    "a{2,3}", "a{,2}", "[^/]+$", "^[a-z0-9.-]+$", "(?i)AB", "(?:x)y", r"\.", "^$", ".*", "a.c",
    r"[\d.]+", r"[^\w]", "[[:alpha:]]+", r"\pL+", r"\p{Greek}", r"\x41", "a*?", "(?m)^b", "(?s)a.b",
    r"\/", "@sha256:[a-f0-9]{64}", r"\Aab", r"b\z", "(?P<n>a)", "{", "}", "]", "a{b}", r"\-",
    r"[\]]", r"[\-a]", r"\_", r"\<a", r"(?i)\w", "a?b", "k", "(?i)k",
)  # fmt: skip
REFUSED = (
    r"\Qa.b\E", "[a-z&&[^b]]", "[a--b]", "[a~~b]", "(?x)a b", r"\u0041", r"\B", r"\012", "x{1001}",
    "a**", "(?=a)", "[a", r"\N", "(?U)a", r"[\D]", "[]a]", "*a", r"\é",
)  # fmt: skip
TEXTS = (
    "a", "ab", "abc", "foo bar", "ac", "aa", "a/b", "AB", "xy", "a.b", "A", "b\nb", "a\nb", "é",
    "٣", "_", "-", "]", "a,b", "", "\u00a0", "\u2028", "\u017f", "K", "k", "{", "a{b}", "<a", "fooé",
    "é foo", "\v", "1", "αβ",
)  # fmt: skip


@needs_opa
def test_patterns_match_what_they_match_in_opa(tmp_path: Path) -> None:
    """Also what they replace, which shows how far each match goes."""
    (tmp_path / "data.json").write_bytes(msgspec.json.encode({"patterns": PATTERNS, "texts": TEXTS}))
    (tmp_path / "a.rego").write_text(
        "package a\nr := [[regex.match(p, t), regex.replace(t, p, `<$0>`)] |\n"
        "some p in data.patterns; some t in data.texts]\n"
    )
    printed = subprocess.run(
        [str(OPA), "eval", "--bundle", tmp_path, "data.a.r"], capture_output=True, check=True
    ).stdout
    engine = regorus.Engine()
    engine.add_policy(
        "a.rego", "package a\nr := [regex.match(input.p, input.t), regex.replace(input.t, input.p, `<$0>`)]\n"
    )
    found = []
    for pattern in PATTERNS:
        for text in TEXTS:
            asked = {"p": translate_pattern(pattern), "t": text}
            engine.set_input_json(msgspec.json.encode(asked).decode())
            found.append(msgspec.json.decode(engine.eval_rule_as_json("data.a.r")))
    assert found == msgspec.json.decode(printed)["result"][0]["expressions"][0]["value"]


@pytest.mark.parametrize("pattern", REFUSED)
def test_patterns_that_may_be_read_otherwise_are_refused(pattern: str) -> None:
    """Some mean something else to Rust, some nothing to Go."""
    with pytest.raises(PatternError):
        translate_pattern(pattern)
