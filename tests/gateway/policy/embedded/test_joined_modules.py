"""Tests that modules under short names are joined, and that errors still name the file and line."""

from gateway.policy.embedded.interpreter import prepare_rules
from gateway.policy.embedded.rewriting.joined_modules import JOINED, join_modules
from gateway.policy.source import PolicySource

RULES = "data.a.rules.decision"
MODULES = (
    ("caller.rego", "package a.caller\n\nlimit := 3\n"),
    ("rules.rego", "# Rules.\npackage a.rules\n\nimport data.a.caller\n\ndecision := caller.limit\n"),
    ("house.rego", "package a.house\n\nsubmit contains 1"),
)


def prepared(*modules: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return prepare_rules(PolicySource(modules=modules, data="{}", entry_points=(RULES,))).modules


def test_modules_in_one_package_are_one() -> None:
    """regorus looks at each module's name at each look into the data."""
    ((file, text),) = join_modules(prepared(*MODULES)).texts
    assert file == JOINED
    assert text.count("package") == 1


def test_each_line_is_found_in_its_own_file() -> None:
    modules = prepared(*MODULES)
    joined = join_modules(modules)
    lines = joined.texts[0][1].splitlines()
    for file, text in modules:
        for number, line in enumerate(text.splitlines()[1:], 2):
            found = [
                at
                for at, other in enumerate(lines, 1)
                if joined.locate(f"{JOINED}:{at}: x") == f"{file}:{number}: x"
            ]
            assert [lines[at - 1] for at in found] == [line]


def test_modules_of_other_packages_stay_as_they_are() -> None:
    """Where rules keep their names, each package is a module."""
    modules = prepared(*MODULES[:2], ("odd.rego", "package a.odd\n\nall := data.a.caller"))
    assert join_modules(modules).texts == modules


def test_other_texts_name_no_place() -> None:
    assert join_modules(prepared(*MODULES)).locate("no reason given") == "no reason given"
