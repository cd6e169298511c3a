"""Tests the rewriting of rules that regorus would evaluate otherwise than OPA."""

import subprocess
from pathlib import Path

import msgspec
import pytest

from gateway.policy.embedded.interpreter import UNDEFINED, Interpreter, RuleFailed, parse_modules
from gateway.policy.embedded.rewriting import rules as rewriting
from gateway.policy.embedded.rewriting.rules import rewrite_rules
from gateway.policy.source import BundleError, PolicySource
from tests.opa_fixture import OPA, needs_opa

DOCUMENT = {
    "xs": [3, 1],
    "s": "abc",
    "none": None,
    "o": {"a": 1},
    "n": 5,
    "key": "a",
    "two": {"a": 1, "b": 2},
    "os": [{"a": 1}, {"b": 2}],
}
ANSWERS = {
    # A missing value below a `not` fails; it does not hold.
    "r if not startswith(input.absent, `a`)": UNDEFINED,
    "r if not input.absent == 3": "true",
    "r if not input.absent != 3": UNDEFINED,
    "r if not input.absent > 3": UNDEFINED,
    "r if not input.absent in {1}": UNDEFINED,
    "r if not 1 in input.absent": UNDEFINED,
    "r if not [input.absent] == [3]": UNDEFINED,
    'r if not {"a": input.absent, "b": 2} == {"a": 1, "b": 2}': UNDEFINED,
    "r if not input.o[input.absent]": UNDEFINED,
    "r if not input.o[input.key] == 2": "true",
    "r if not input.absent + 1 == 2": UNDEFINED,
    "r if not f(f(input.absent))": UNDEFINED,
    "r if not f(input.n)": UNDEFINED,
    "r if not f(input.none)": "true",
    "r if { some x in input.xs; not f(x) }": UNDEFINED,
    'r if not startswith(input.s, "b")': "true",
    "r if not count([1 | not f(input.absent)]) == 1": "true",
    "r if not count([1 | not f(missing)]) == 1": "true",
    'r if { not startswith(input.s, "b") with input as {"s": "a"} }': "true",
    "r if { every x in input.xs { not f(input.none); x > 0 } }": "true",
    "r := 1 if not f(input.n)\nelse := 2 if not f(input.none)": "2",
    # A head that loops, or has no value once.
    "r contains input.absent[_]": "[]",
    "r contains input.xs[_]": "[1,3]",
    "r contains input.o[k] if some k in [`a`, `b`]": "[1]",
    "r[k] := input.o[k] if some k in [`a`, `b`]": '{"a":1}',
    'r contains {"k": k, "v": input.o[k]} if {\n\tsome k in ["a", "b"] # }\n\t# {\n}': '[{"k":"a","v":1}]',
    "r := input.os[_].b": "2",
    "r := input.os[i].b if i != 0": "2",
    "r := [input.os[_].b, 1] if input.n": "[2,1]",
    "r if not v\nv := input.os[_].b": UNDEFINED,
    "r := v(input)\nv(x) := x.os[_].b": "2",
    # A loop over null, which a document has where it names none; and one behind another.
    "r contains x if some x in input.none": "[]",
    "r := [x | some x in input.none]": "[]",
    "r contains y if { x := input.xs[_]; some y; input.xs[y] == x }": "[0,1]",
    "r contains [y, z] if { x := input.xs[_]; some y; some z; input.xs[y] == x; input.xs[z] < x }": "[[0,1]]",
    "r if { some y\nsome z\ninput.xs[y] < input.xs[z]; some w; input.xs[w] > z }": "true",
    "r contains [k, v] if { some x in input.xs; some k, v in input.o }": '[["a",1]]',
    # An object that is built by `=`.
    'r := o if { some i; n := input.xs[i]; n < 3; o = {"i": i, "n": n} }': '{"i":1,"n":1}',
    'r := o if { n = input.n; {"n": n} = o }': '{"n":5}',
    # What is missing on one side of `in` has no value, also inside another expression.
    "r := input.absent in {1}": UNDEFINED,
    "r := [1 in input.absent, 2]": UNDEFINED,
    "r if (input.absent in {1}) == false": UNDEFINED,
    "r if { x := input.absent in {1}; not x }": UNDEFINED,
    "r if (input.n in {1}) == false": "true",
    # A key that is missing once; and an object of which no key has a value.
    "r[x.a] := 1 if some x in input.os": '{"1":1}',
    "r[x.a] contains x.b if some x in [input.two, {}, {`a`: `c`}]": '{"1":[2]}',
    "r := p\np.x := 1 if input.absent": "{}",
    'r := p\np["x"].y := 1 if input.absent': '{"x":{}}',
    "r := p\np.x.y if input.n": '{"x":{"y":true}}',
    # Patterns are ASCII, and a brace may be text.
    r"r := [x | some x in [`٣`, `3`]; regex.match(`^\d$`, x)]": '["3"]',
    r"r := regex.replace(`a{b}é_`, `{b}|\W`, `-`)": '"a--_"',
    r"r := [x | some x in [`ab`, `éb`]; p := concat(``, [`^\w`, `b`]); regex.match(p, x)]": '["ab"]',
    # Others.
    "r := x if x := h()\nh := y if y := input.n": "5",
    'r := sprintf("%v %v", [1])': '"1 %!v(MISSING)"',
    "r := [lower(`ÉΣİ`), upper(`ßﬁ`)]": '["é\u03c3i","ßﬁ"]',
    "r := [indexof(`aé雪`, `雪`), strings.count(`aaaa`, `aa`)]": "[2,2]",
    "r := lib.value\nimport data.lib": "4",
}
FUNCTIONS = "\nf(x) := x if x != null\n"
BESIDE = "package a\nmissing := 1 if input.absent\n"
LIBRARY = "package lib\nvalue := 4\nbroken := 1 / 0\n"


def modules(rule: str) -> tuple[tuple[str, str], ...]:
    head, _, imported = rule.partition("\nimport ")
    before = f"import {imported}\n" if imported else ""
    return (("a.rego", f"package a\n{before}{head}{FUNCTIONS}"), ("b.rego", BESIDE), ("lib.rego", LIBRARY))


@pytest.mark.parametrize("rule", ANSWERS)
def test_rules_are_answered_as_by_opa(rule: str) -> None:
    """regorus 0.13 answers most of these otherwise where they are left as they are."""
    source = PolicySource(modules=modules(rule), data="{}", entry_points=())
    found = Interpreter(source).evaluate("data.a.r", msgspec.json.encode(DOCUMENT))
    assert msgspec.json.decode(found) == msgspec.json.decode(ANSWERS[rule])


@needs_opa
@pytest.mark.parametrize("rule", ANSWERS)
def test_opa_gives_these_answers(tmp_path: Path, rule: str) -> None:
    """The table is OPA's, not ours."""
    for name, text in modules(rule):
        (tmp_path / name).write_text(text)
    printed = subprocess.run(
        [str(OPA), "eval", "--bundle", tmp_path, "--stdin-input", "data.a.r"],
        input=msgspec.json.encode(DOCUMENT),
        capture_output=True,
        check=True,
    ).stdout
    result = msgspec.json.decode(printed).get("result")
    found = result[0]["expressions"][0]["value"] if result else msgspec.json.decode(UNDEFINED)
    assert found == msgspec.json.decode(ANSWERS[rule])


@pytest.mark.parametrize("operand", ["f(1 / input.none)", '{"n": f(1 / input.none)}'])
def test_a_call_that_fails_is_not_hidden_by_a_missing_value(operand: str) -> None:
    """OPA evaluates calls first: a comprehension must not be empty where it fails."""
    source = PolicySource(
        modules=modules(f"r := [1 | not input.absent != {operand}]"), data="{}", entry_points=()
    )
    with pytest.raises(RuleFailed):
        Interpreter(source).evaluate("data.a.r", msgspec.json.encode(DOCUMENT))


def test_names_are_announced_once_and_for_all() -> None:
    """One after the other they were moved before each other, a hundred times."""
    rule = "package a\nr if {\n\tsome x\n\tsome y\n\tinput[x] > 1\n\tsome z\n\tinput[y] > input[z]\n}\n"
    (module,) = rewrite_rules([("a.rego", rule)], parse_modules)
    assert module.text.decode().partition("evaluated")[0] == (
        "package a\nr if {\n\tsome x\n\tsome y\n\tsome z; input[x] > 1\n\ttrue\n\t"
    )


def test_rules_that_could_not_be_rewritten_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be answered otherwise than by OPA, and nobody would know."""
    monkeypatch.setattr(rewriting, "ROUNDS_MAXIMUM", 2)
    rule = "package a\nr if not f(count([1 | not f(count([1 | not f(input.x)]))]))\n"
    with pytest.raises(BundleError, match=r"a\.rego: its rules nest too deep"):
        rewrite_rules([("a.rego", rule)], parse_modules)


def test_lines_stay_what_they_are() -> None:
    """An error of the interpreter names the line that the author knows."""
    rules = "package a\nr contains input.x if {\n\tinput.y\n}\n\n"
    rules += "s contains {\n\t1: input.z,\n} if {\n\tnot f(input.x)\n}\n"
    (module,) = rewrite_rules([("a.rego", rules + FUNCTIONS)], parse_modules)
    written = module.text.decode()
    assert written.count("\n") == (rules + FUNCTIONS).count("\n")
    assert written.partition("f(x) := x")[0].count("\n") == rules.count("\n") + 1
