"""Constructs that OPA refuses, or evaluates differently, are refused."""

import pytest

from gateway.policy.embedded.compilation import parse_modules
from gateway.policy.embedded.subset.constructs import check_constructs
from tests.gateway.policy.embedded.subset.test_constructs import HEAD, NEIGHBOUR, found


@pytest.mark.parametrize(
    "negated",
    [
        'startswith(input.image, "x")',
        'input.absent in ["root"]',
        "input.x in data.absent",
        "is_string(input.absent)",
        "count(input.absent) > 0",
        "input.absent > 3",
        "input.absent != 1",
        "1 < input.absent",
        "regex.match(`a`, input.absent)",
        "scores[input.absent]",
        "input.xs[_] == 2",
        '{"a": 1}["b"]',
        "when(1).a",
        "input.a.b[input.c]",
        "[input.absent] == [1]",
        "input.absent + 1 > 3",
        "1 / input.b > 3",
        'lower(x) == "root"',
        "x + 1 > 3",
        "count(x) > 0",
    ],
)
def test_below_a_not_only_what_has_a_value_is_called_or_compared(negated: str) -> None:
    """`not startswith(input.image, ...)` holds here if there is no image, and fails in OPA.

    A rule that denies would let it in.
    """
    rules = f"scores contains 1\nwhen(x) := {{}} if x\nr if {{\n  x = input.x\n  not {negated}\n}}\n"
    assert [problem for problem in found(rules) if problem.startswith("x.rego:9: below a `not` only")] != []


@pytest.mark.parametrize(
    "negated",
    [
        "input.absent",
        "input.absent.deep[x]",
        'input.absent == "a"',
        "input.absent == data.absent",
        "input.roles[x]",
        "x in [1, 2]",
        "x > 3",
        "startswith(x, `a`)",
        "is_string(x)",
        "when(x)",
        "scores[x]",
        "maybe",
    ],
)
def test_what_may_be_missing_as_a_whole_may_be_negated(negated: str) -> None:
    """The engines agree about one reference, == between two, and what was bound before."""
    assert (
        found(
            "scores contains 1\nwhen(x) if x > 1\nmaybe if input.a\n"
            f"r if {{\n  x = input.x\n  not {negated}\n}}\n"
        )
        == []
    )


@pytest.mark.parametrize(
    ("rule", "detail"),
    [
        ("r := x if some x in [1, 2]", "x.rego:5: this rule may have several values"),
        ("r := x if x = input.xs[_]", "x.rego:5: this rule may have several values"),
        ("r := x if input.xs[i][j] = x", "x.rego:5: this rule may have several values"),
        ("r := i if { input.xs[j]; i = j }", "x.rego:5: this rule may have several values"),
        ("f(a) := x if some x in a", "x.rego:5: this rule may have several values"),
        ("r := 1 if input.a\nelse := x if some x in [1]", "x.rego:5: this rule may have several values"),
        (
            "r := 1 if { some x in input.xs; x > 1 }\nelse := 2",
            "x.rego:5: an else after a body with a `some`",
        ),
        (
            "f(_) := 1 if input.xs[_] > 1\nelse := 2 if input.x\nelse := 3",
            "x.rego:5: an else after a body with a `some`",
        ),
        ("r := {k: v | some v in input.xs; k = v.a}", "x.rego:5: a key may come twice here"),
        ("r := {k: v | some a in input.xs; some k, v in a}", "x.rego:5: a key may come twice here"),
        ("f(input) if input.x", "x.rego:5: input cannot be a name of the rule's own"),
        ("f([_, data]) if data.x", "x.rego:5: data cannot be a name of the rule's own"),
        ("r if { some y in [1]; y == 1 }", "x.rego:5: y cannot be a name of the rule's own"),
        ("a := 1\nr if { some a in [1]; a == 1 }", "x.rego:6: a cannot be a name of the rule's own"),
        ("f(x) if x\nr if f(1, 2)", "x.rego:6: f wants 1 arguments, not 2"),
        ('r if startswith("a")', "x.rego:5: startswith wants 2 arguments, not 1"),
        ("default a := 1\ndefault a := 2", "x.rego:6: a has a second default"),
        ("a(x) := x\na := 5", "x.rego:6: a is declared in two ways"),
        ("a contains 1\na := 5", "x.rego:6: a is declared in two ways"),
        ("a(x) if x\na(x, y) if x == y", "x.rego:6: a is declared in two ways"),
        ("f(x) if x\nr if not f", "x.rego:6: f is a function"),
        ("a := 1\nr if a(1)", "x.rego:6: a is not a function"),
        ("r := undefined_thing", "x.rego:5: undefined_thing is not known here"),
        ("r if not thing == 1", "x.rego:5: thing is not known here"),
        ("r if { some x; not input.xs[x] }", "x.rego:5: x is not known here"),
        ("r if input.x == 9007199254740992", "x.rego:5: a number of more than 53 bits"),
        ("r if regex.match(input.p, `a`)", "x.rego:5: the pattern of regex.match must be written out"),
        ('r if { x = sprintf("%d of %d", [1]); x }', "x.rego:5: sprintf: as many values"),
        ('r if { x = sprintf("%05d", [1]); x }', "x.rego:5: sprintf: as many values"),
        ("r if { x = sprintf(input.f, [1]); x }", "x.rego:5: sprintf wants its format"),
    ],
)
def test_what_opa_refuses_or_answers_otherwise_is_refused(rule: str, detail: str) -> None:
    """Rules must mean the same in every engine."""
    assert [problem for problem in found(rule) if problem.startswith(detail)] != []


@pytest.mark.parametrize(
    "rules",
    [
        "a := 1 if input.x\na := 2",
        "a := 1\na := 2 if input.x",
        "a := {} if input.x\na := input.y",
        "a := false\na if input.x",
    ],
)
def test_a_rule_that_may_get_two_values_is_refused(rules: str) -> None:
    """The virtual machine takes the conflict for an undefined value.

    The caller would be refused for a wrong reason, and nobody would see a fault.
    """
    assert found(rules) == [
        "x.rego:6: a has a value in line 5 too, and may get two at once: write a default, or an else",
    ]


def test_a_rule_gets_its_values_in_one_file() -> None:
    """The author of another file does not see which conditions the rule has in the first."""
    other = ("z.rego", "package waypost.x\nimport rego.v1\na := 2 if input.y\n")
    assert [
        str(problem)
        for problem in check_constructs(
            parse_modules([("x.rego", HEAD + "a := 1 if input.x"), ("y.rego", NEIGHBOUR), other])
        )
    ] == [
        "z.rego:3: a has a value in x.rego too, and may get two at once: "
        "keep them in one file, or use another name"
    ]


@pytest.mark.parametrize(
    "rules",
    ["a if input.x\na if input.y", "a := 1 if input.x\na := 2 if not input.x", "default a := 1\na := 2"],
)
def test_a_rule_with_several_bodies_is_taken(rules: str) -> None:
    """True in two bodies is true once; whether other values exclude each other is up to the author."""
    assert found(rules) == []


def test_a_rule_with_the_name_of_a_package_is_refused() -> None:
    """Which of the two a reference means depends on the engine."""
    below = ("z.rego", "package waypost.x.z\nimport rego.v1\nq := 2\n")
    assert [
        str(problem)
        for problem in check_constructs(
            parse_modules([("x.rego", HEAD + 'z := {"q": 1}'), ("y.rego", NEIGHBOUR), below])
        )
    ] == ["x.rego:5: data.waypost.x.z is a package too: give the rule another name"]


@pytest.mark.parametrize(
    "pattern",
    [
        r"\w",
        r"\d+",
        r"[\s]",
        r"\bx",
        "(?x) a b",
        "(?P<n>a)",
        "(?=a)",
        "[a-z&&[^b]]",
        "[a~~b]",
        "[a--b]",
        "[a[b]]",
        r"\Qa.b\E",
        r"\pL",
        "a{2000}",
        "(",
    ],
)
def test_a_pattern_that_two_libraries_read_differently_is_refused(pattern: str) -> None:
    r"""`\d` is ASCII in one and Unicode in the other: to one a Cyrillic letter in a tenant's name is a \w."""
    assert "this pattern may be read differently" in found(f"r if regex.match(`{pattern}`, input.x)")[0]


@pytest.mark.parametrize(
    "pattern",
    [
        "^a.b$",
        "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        "(?:a|b)+?",
        "(?i)^abc",
        "[^/]*[.:][^/]*",
        r"docker\.io(:0*(80|443))?/",
    ],
)
def test_a_plain_pattern_is_taken(pattern: str) -> None:
    """Classes, groups and repetition suffice for rules."""
    assert found(f"r if regex.match(`{pattern}`, input.x)") == []


@pytest.mark.parametrize(
    "rule",
    [
        "r := x if { xs = input.xs; x = xs[0] }",
        "r := x if { i = input.i; x = input.xs[i] }",
        "r := count(xs) if { xs = [x | some x in input.xs] }",
        "r if { some x in input.xs; x > 1 }",
        "f(x) := x if some z in input.xs",
        "r := {k: v | some k, v in input.o; v > 1}",
        "s contains i if input.xs[i] == 2",
        "r if { input.xs[i] == 2; not input.ys[i] }",
        "r if { input.xs[i][j] == 2; not input.ys[j] }",
    ],
)
def test_one_value_however_often_the_body_holds_is_taken(rule: str) -> None:
    """Sets may grow, and a value that does not depend on the loop is the same each time."""
    assert found(rule) == []


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("x = [q | some q in data.empty; q == input.x]\n not input.banned\n x == x", "input"),
        ("every q in data.empty { q == input.x }\n not input.banned", "input"),
        ("x = {1 | data.absent == 1}\n not data.full\n x == x", "data"),
        ("x = {q: 1 | some q, _ in input.o; q == data.m}\n x == x", "data"),
        ("x = [z | some q in input.xs; z = [b | some b in data.ys]]\n x == x", "data"),
        ("x = [q | some q in [b | some b in data.ys; b > 1]; q == input.y]\n x == x", "data"),
    ],
)
def test_input_and_data_are_not_named_first_within_a_loop(body: str, name: str) -> None:
    """If the loop is not entered they are not loaded, and `not input.banned` holds in the body after it."""
    assert [
        problem for problem in found(f"r if {{\n {body}\n}}") if f": {name} is named within" in problem
    ] != []


@pytest.mark.parametrize(
    "body",
    [
        "x = [q | some q in input.xs; q == input.y]\n not input.banned\n x == x",
        "every q in data.xs { q.a == data.b }",
        "b = input.b\n x = [q | some q in data.xs; q == b]\n x == x",
        "x = [q | some q in input.xs; data.waypost.y.when(q)]\n x == x",
        "x = [z | some q in input.xs; z = [b | some b in q]]\n x == x",
    ],
)
def test_what_a_loop_goes_through_is_read_before_it(body: str) -> None:
    """It is loaded before the loop, and so is what was bound before; rules are always evaluated."""
    assert found(f"r if {{\n {body}\n}}") == []
