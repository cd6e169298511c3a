"""Tests that rules that would exhaust the process are refused before they are parsed."""

import pytest

from gateway.policy.embedded.interpreter import parse_modules
from gateway.policy.source import BundleError

MANY = 20_000
EXCESSIVE = {
    "lists": "x := " + "[" * 14 + "]" * 14,
    "many lists": "x := " + "[" * MANY + "]" * MANY,
    "lists that do not end": "x := " + "[" * MANY,
    "objects": "x := " + "{" * 14 + "}" * 14,
    "brackets": "x := " + "(" * MANY + "1" + ")" * MANY,
    "calls": "x := " + "abs(" * MANY + "1" + ")" * MANY,
    "references": "x := input" + ".a" * MANY,
    "references in brackets": "x := input" + "[input" * MANY + "]" * MANY,
    "a sum": "x := 1" + " + 1" * MANY,
    "a sum in lines": "x := 1" + " +\n\t1" * MANY,
    "minus": "x := " + "-" * MANY + "1",
    "sets": "x := {1}" + " & {1}" * MANY,
    "else": "x := 1 if false" + " else := 2 if false" * MANY,
    "with": "x if input.a" + " with input.a as 1" * MANY,
    "some": "x if { " + "some y in [1]\n" * MANY + " true }",
    "every": "x if " + "every y in [1] { " * MANY + "true" + " }" * MANY,
    "comprehensions": "x := " + "[y | y := " * MANY + "1" + "]" * MANY,
}


@pytest.mark.parametrize("rule", EXCESSIVE.values(), ids=EXCESSIVE)
def test_what_regorus_would_not_survive_is_refused(rule: str) -> None:
    """A bundle that is uploaded must not end a gateway, however well it is signed."""
    with pytest.raises(BundleError) as refused:
        parse_modules([("a.rego", f"package a\n\n# [[[[[[[[[[[[[[[[\n{rule}\n")])
    (found,) = refused.value.diagnostics
    assert found.file == "a.rego" and found.line >= 4
    assert "write it in several rules (it works on OPA" in found.detail


def test_what_the_parser_of_its_tree_does_not_survive_is_refused() -> None:
    """Below the bounds, and still too deep for a JSON reader."""
    with pytest.raises(BundleError, match="they nest too deep"):
        parse_modules([("a.rego", "package a\nx := 1" + " + 1" * 990)])


@pytest.mark.parametrize(
    "rule",
    [
        "x := [" + "1.5, -2.5, input.a, " * 2_000 + "1]",
        "x := {" + ", ".join(f'"k{n}": input.a.b' for n in range(2_000)) + "}",
        'x := "' + "[" * MANY + '"',
        "x := `" + "[\n" * 100 + "`",
        "".join(f"x{n} if {{\n\tinput.a.b + {n} == 1 # [[[\n}}\n\n" for n in range(500)),
        "x := [[[[[[{{[{1: {1}}]}}]]]]]]",
    ],
    ids=["a long list", "a long object", "text", "raw text", "many rules", "nested"],
)
def test_what_is_long_and_plain_is_parsed(rule: str) -> None:
    """Lists of what is permitted may have thousands of members."""
    (module,) = parse_modules([("a.rego", f"package a\n\n{rule}\n")])
    assert module.rules
