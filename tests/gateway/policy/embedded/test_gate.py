"""Tests the check of uploaded rules: what it refuses, and that it says where, why, and what to do."""

import pytest

from gateway.policy.embedded.builtins import BUILTINS, Support
from gateway.policy.embedded.gate import (
    WORKS_ON_OPA,
    check_rules,
    nondeterministic_calls,
    unused_rules,
)
from gateway.policy.embedded.interpreter import parse_modules


def refused(*rules: str) -> list[str]:
    modules = parse_modules([(f"{name}.rego", text) for name, text in zip("abc", rules, strict=False)])
    return [str(one).removesuffix(WORKS_ON_OPA) for one in check_rules(modules)]


OPEN = "an object with names in a pattern"
"""The beginning of the refusal of an object pattern: regorus matches objects with more fields."""


@pytest.mark.parametrize(
    ("rule", "detail"),
    [
        ("r if glob.match(`*`, [], input.x)", "glob.match is not here: reads `[^a]`"),
        ("r if crypto.md5(input.x)", "crypto.md5 is not here: absent"),
        ("r if nothing.of.the.kind(1)", "nothing.of.the.kind is not here: absent, or misspelt"),
        ("r if data.b.f(1)", "data.b.f is not here: absent, or misspelt"),
        (r"r if regex.match(`(a`, input.x)", "regex.match: it is no pattern: missing ): (a"),
        ("r := input.xs[_].b if input.y else := 2", "a loop in a value of a rule with `else`"),
        ("r := 1 if input.y else := input.xs[_][0]", "a loop in a value of a rule with `else`"),
        ("r := 1 if input.y else := input.x in {1}", "`in`, of what may be missing, inside another"),
        ("r := [(x.a in {1}) | x := input.xs[_]]", "`in`, of what may be missing, inside another"),
        ("r if { some x in [input.x in {1}]; x == false }", "`in`, of what may be missing, inside"),
        ("r if { input.a | input.b == {1}; false }", "`{ a | b` begins a comprehension on OPA"),
        ("r := 1 if input.y else := 2 if { {1} | {2}; false }", "`{ a | b` begins a comprehension on OPA"),
        ("r := -input.x", "a minus before what is no number"),
        ('r := n if {"a": n} = input.two', OPEN),
        ('r := n if {"a": n} := input.two', OPEN),
        ('r := n if input.two = {"a": n}', OPEN),
        ('r := n if [{"a": n}, _] = [input.two, 1]', OPEN),
        ('r := n if {"o": {"a": n}} = {"o": input.two}', OPEN),
        ('r := n if { o := input.two; {"a": n} = o }', OPEN),
        ('r := n if { o = input.two; {"a": n} = o }', OPEN),
        ('r := n if { input.os[o]; {"a": n} = o }', OPEN),
        ('r := n if { walk(input, o); {"a": n} = o }', OPEN),
        ('r := n if {"a": n} = two\n\ntwo := input.two', OPEN),
        ('r contains n if some {"a": n} in input.os', OPEN),
        ('r contains n if some {"a": n}, _ in input.os', OPEN),
        ('r := p(input.two)\n\np({"a": n}) := n', OPEN),
        ('r := p(input.two)\n\np([_, {"a": n}]) := n', OPEN),
        (
            "r contains x if {\n\tsome x in xs\n\t(x + 1) > 2\n}\n\nxs := input.xs",
            "a line that begins with `(`",
        ),
        ("f(input) := input", "an argument is named input or data"),
        ("xs := 1\nr contains xs if some xs in input.xs", "`some xs`: xs is a rule or an import too"),
        ("r if not input.xs[_] == 1", "`_` below a `not` is not safe, on OPA neither"),
    ],
)
def test_what_would_be_answered_otherwise_is_refused(rule: str, detail: str) -> None:
    """With file and line, and a word on where it works."""
    (found,) = refused(f"package a\n\n{rule}\n")
    line, told = found.removeprefix("a.rego:").split(": ", 1)
    assert 3 <= int(line) <= 3 + rule.count("\n")
    assert told.startswith(detail)


def test_a_refusal_says_that_it_works_on_opa() -> None:
    """The rule is not wrong: another engine takes it."""
    (found,) = check_rules(parse_modules([("a.rego", "package a\nr := json.marshal(input)\n")]))
    assert found.detail.endswith("(it works on OPA: set policy.engine, or engine: opa in the bundle)")


@pytest.mark.parametrize(
    ("modules", "circle"),
    [
        (["package a\nf(x) := f(x)\n"], "data.a.f -> data.a.f"),
        (
            ["package a\nr := s\ns := data.b.r\n", "package b\nr := data.a.r\n"],
            "data.a.r -> data.a.s -> data.b.r",
        ),
        (
            ["package a\nimport data.b\nr := b\n", "package b\nr := data.a.r\n"],
            "data.a.r -> data.b.r -> data.a.r",
        ),
        (["package a\nr := data[input.x]\n"], "data.a.r -> data.a.r"),
    ],
)
def test_rules_that_need_themselves_are_refused(modules: list[str], circle: str) -> None:
    """A function that does ends the process, without a word. OPA refuses them too."""
    (found,) = refused(*modules)
    assert found.startswith("a.rego:")
    assert f"a rule cannot need itself, on OPA neither: {circle}" in found


@pytest.mark.parametrize(
    "rules",
    [
        "package a\nimage(image) := image\nr := image(input.x)\n",
        "package a\nteam := t if { team := input.team; t := team }\n",
        "package a\nr := {x | some x in input.xs}\ns := [r | r := input.y]\n",
        "package a\nr.a := 1\nr.b := r.a\n",
    ],
)
def test_names_of_a_rules_own_are_not_the_rules(rules: str) -> None:
    """An argument may be named like a rule, and one part of an object may need another."""
    assert refused(rules) == []


def test_what_does_not_depend_on_the_input_alone_is_refused_on_every_engine() -> None:
    """The same question must have the same answer, in a replay too; it is said what to write."""
    modules = parse_modules([("a.rego", "package a\nr if time.now_ns() > 1\ns := http.send({})\n")])
    assert [str(one).partition(": ")[2].partition(",")[0] for one in nondeterministic_calls(modules)] == [
        "time.now_ns is refused",
        "http.send is refused",
    ]
    assert "input.at" in str(nondeterministic_calls(modules)[0])


def test_rules_that_no_decision_uses_are_named() -> None:
    """A misspelt hook refuses nothing, and nobody would notice."""
    rules = "package a\ndecision := x if f(x)\nx := 1\nf(y) := y\nsumbit contains 1\n"
    modules = parse_modules([("a.rego", rules)])
    assert [str(one) for one in unused_rules(modules, ["data.a.decision"])] == [
        "a.rego:5: data.a.sumbit is used by no decision"
    ]


def test_every_builtin_that_is_not_the_same_says_why() -> None:
    """The list is for people."""
    assert [name for name, one in BUILTINS.items() if one.support is not Support.SAME and not one.note] == []
