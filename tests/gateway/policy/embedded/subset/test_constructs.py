"""Which constructs of Rego the embedded engine accepts."""

import pytest

from gateway.policy.embedded.compilation import parse_modules
from gateway.policy.embedded.subset.constructs import check_constructs

HEAD = "package waypost.x\nimport rego.v1\nimport data.waypost.y\nimport data.waypost.y.named as other\n"
ALIASES = (
    "package waypost.x\nimport rego.v1\n"
    "import input.absent as v\nimport data.waypost.y.maybe as q\nimport data.waypost.y as p\n"
)
NEIGHBOUR = "package waypost.y\nimport rego.v1\nnamed contains 1\nmaybe := 1 if input.a\nwhen(x) if x > 1\n"


def found(rules: str, head: str = HEAD) -> list[str]:
    return [
        str(problem)
        for problem in check_constructs(parse_modules([("x.rego", head + rules), ("y.rego", NEIGHBOUR)]))
    ]


@pytest.mark.parametrize(
    "name",
    [
        "http.send",
        "opa.runtime",
        "rand.intn",
        "time.now_ns",
        "uuid.rfc4122",
        "io.jwt.decode_verify",
        "crypto.sha256",
        "net.cidr_contains",
        "net.lookup_ip_addr",
        "time.add_date",
        "graphql.parse",
        "providers.aws.sign_req",
        "rego.metadata.rule",
        "print",
        "trace",
        "walk",
        "numbers.range",
        "yaml.unmarshal",
        "nonsense",
    ],
)
def test_a_builtin_outside_the_measured_ones_is_refused(name: str) -> None:
    """A missing builtin shows only when it is reached, and its negation is true.

    Others give another result than in OPA, or depend on a clock.
    """
    assert any(
        problem.startswith(f"x.rego:6: {name} is not among")
        for problem in found(f"allow if {{\n  not {name}(input.x)\n}}\n")
    )


@pytest.mark.parametrize(
    "rule",
    [
        "f(x) := http.send(x)",
        "r := [x | x = http.send({})]",
        "r contains 1 if { some x in [http.send({})]; x }",
        "r if every x in [1] { http.send({}) == x }",
        "r := 1 if false else := 2 if http.send({})",
        "r := input.a[http.send({})]",
        'r if http["send"]({})',
        'r := {"a": [{"b": http.send({})}]}',
        "r := 1 + http.send({})",
        "r if input.x in http.send({})",
    ],
)
def test_a_call_is_found_wherever_it_hides(rule: str) -> None:
    """In a function, a comprehension, an else, an index or a nested value."""
    assert any("http.send is not among the builtins" in problem for problem in found(rule))


@pytest.mark.parametrize(
    "rule",
    [
        'allow if input.text == "http.send"',
        "allow if input.text == `http.send({})`",
        "# not http.send({})\nallow if input.x",
        "allow if input.http.send",
        "http := input.http\nallow if http.send",
    ],
)
def test_words_are_not_calls(rule: str) -> None:
    """A string or a comment may name a builtin."""
    assert found(rule) == []


@pytest.mark.parametrize(
    ("rule", "detail"),
    [
        ("allow if {\n  x := input.absent\n}", "x.rego:6: := of a value that may be undefined"),
        ("allow if {\n  x := data.absent[input.x]\n}", "x.rego:6: := of a value that may be undefined"),
        ("allow if {\n  x := lower(input.x)\n}", "x.rego:6: := of a value that may be undefined"),
        ("allow if {\n  x := [1, input.x]\n}", "x.rego:6: := of a value that may be undefined"),
        ("allow if {\n  x := y.maybe\n}", "x.rego:6: := of a value that may be undefined"),
        ("maybe if input.x\nallow if {\n  x := maybe\n}", "x.rego:7: := of a value that may be undefined"),
        ("reasons contains input.x", "x.rego:5: what this set contains may be undefined"),
        ('reasons contains sprintf("%v", [input.x])', "x.rego:5: what this set contains may be undefined"),
        ("r := [input.x | some x in [1]]", "x.rego:5: what this comprehension collects"),
        ('r := {"a": input.x | some x in [1]}', "x.rego:5: what this comprehension collects"),
        ("f(_) if 1 == 1\nallow if f(input.x)", "x.rego:6: an argument of f may be undefined"),
        ("allow if y.when(input.x)", "x.rego:5: an argument of y.when may be undefined"),
        ("r := input.x if input.y else := 1", "x.rego:5: a value before an else may be undefined"),
        ("default f(_) := 1\nf(x) := x if x > 1", "x.rego:5: a default for a function"),
        ("default r := [x | some x in [1]]", "x.rego:5: the value of a default"),
        ("a.b.c := 1", "x.rego:5: the name of a rule must be one word"),
        ("a[x] := 1 if some x in [1]", "x.rego:5: the name of a rule must be one word"),
        ("r := data.waypost", "x.rego:5: data.waypost is not one rule"),
        ("r := data.waypost[input.x].allow", "x.rego:5: data.waypost is not one rule"),
        ("r := data", "x.rego:5: data is not one rule"),
        ("r := y", "x.rego:5: data.waypost.y is not one rule"),
        ("r := -input.x", "x.rego:5: the unary minus"),
        ("r if y.maybe with input.a as 1", "x.rego:5: `with` is for tests"),
    ],
)
def test_what_the_virtual_machine_gets_wrong_is_refused(rule: str, detail: str) -> None:
    """The virtual machine goes on with an undefined value: a rule that should fail would hold."""
    assert [problem for problem in found(rule) if problem.startswith(detail)] != []


@pytest.mark.parametrize(
    "rule",
    [
        "allow if {\n  x = input.absent\n}",
        'allow if {\n  x := "a"\n  z := [x, 1]\n}',
        'allow if {\n  x = input.a\n  z := sprintf("%v", [x])\n}',
        "allow if {\n  x := other\n}",
        "allow if {\n  x := y.named\n}",
        "default quiet := false\nallow if {\n  x := quiet\n}",
        'reasons contains {"rule": x} if some x in input.xs',
        "f(x) if x > 1\nallow if {\n  some x in input.xs\n  f(x)\n}",
        "r := input.x if input.y",
        "r := {x | some x in input.xs}",
        "allow if data.tenants[input.tenant].regions",
        "allow if not input.x == data.limits.x",
    ],
)
def test_what_it_gets_right_is_taken(rule: str) -> None:
    """Rules can be written in the subset."""
    assert found(rule) == []


@pytest.mark.parametrize(
    ("rule", "circle"),
    [
        ("r if not r", "waypost.x.r -> data.waypost.x.r"),
        ("f(x) if f(x)", "waypost.x.f -> data.waypost.x.f"),
        ("s contains x if { some x in s }", "waypost.x.s -> data.waypost.x.s"),
        ("a if b\n\nb if a", "waypost.x.a -> data.waypost.x.b -> data.waypost.x.a"),
        ("b if not a\n\na := [1 | b]", "waypost.x.a -> data.waypost.x.b -> data.waypost.x.a"),
        ("r := 1 if input.x\nelse := r", "waypost.x.r -> data.waypost.x.r"),
        ("r if data.waypost.x.r", "waypost.x.r -> data.waypost.x.r"),
        ("r if every x in [1] { x == r }", "waypost.x.r -> data.waypost.x.r"),
        ("r if input.a[r]", "waypost.x.r -> data.waypost.x.r"),
    ],
)
def test_a_rule_that_needs_itself_is_refused(rule: str, circle: str) -> None:
    """Both evaluators recurse until the stack overflows, which ends the process."""
    assert [
        problem
        for problem in found(rule)
        if "a rule cannot need itself: data." + circle in problem and problem.startswith("x.rego:")
    ] != []


def test_a_circle_through_packages_is_refused() -> None:
    """The diagnostic names every rule of the cycle, and the place of one."""
    first, second = (
        "package waypost.a\nimport rego.v1\nr if not data.waypost.b.q\n",
        "package waypost.b\nimport rego.v1\nq if data.waypost.a.r\n",
    )
    assert [
        str(problem) for problem in check_constructs(parse_modules([("a.rego", first), ("b.rego", second)]))
    ] == ["a.rego:3: a rule cannot need itself: data.waypost.a.r -> data.waypost.b.q -> data.waypost.a.r"]


@pytest.mark.parametrize(
    "rule",
    [
        "r if {\n  y := v\n}",
        "r if {\n  y := q\n}",
        "s contains v",
        's contains {"a": v}',
        "r := [v | some x in [1]]",
        "r := v if input.x\nelse := 2",
        "f(_) := true\nr if f(v)",
        "f(_) := true\nr if f(q)",
        "r := p",
        "r if not p[input.k]",
        "r if not lower(v)",
    ],
)
def test_an_alias_is_no_name_of_its_own(rule: str) -> None:
    """`import input.absent as v`: as a local name, `v` would be taken for always defined."""
    assert found(rule, ALIASES) != []
