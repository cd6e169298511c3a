"""Tests the YAML parser, which accepts only what JSON can express."""

from typing import Any

import pytest

from gateway.core.errors import GatewayError, Malformed, TooLarge
from gateway.documents.strict_yaml import read_yaml
from tests.gateway.documents.documents import by_pointer


def read(text: str, *, nesting: int = 64, expansion: int = 10_000) -> Any:
    value, errors = read_yaml(
        text, maximum_nesting=nesting, maximum_expansion=expansion, maximum_values=1_000
    )
    assert errors == []
    return value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: -1.5e+3\nc: 1.0e+5\nd: 0", {"a": 1, "b": -1500.0, "c": 1e5, "d": 0}),
        ("a: true\nb: False\nc:\nd: ~\ne: null", {"a": True, "b": False, "c": None, "d": None, "e": None}),
        ("a: 'yes'\nb: \"012\"\nc: !!str 1\nd: |\n  on\n", {"a": "yes", "b": "012", "c": "1", "d": "on\n"}),
        ("a: v1.2.3\nb: x y\nc: 1m\nd: n", {"a": "v1.2.3", "b": "x y", "c": "1m", "d": "n"}),
        (
            "a: &x {b: [1]}\nc: *x\nd: [*x, &y 2, *y]",
            {"a": {"b": [1]}, "c": {"b": [1]}, "d": [{"b": [1]}, 2, 2]},
        ),
        ("&k a: 1\nb: *k", {"a": 1, "b": "a"}),
        ("---", None),
        ("[]", []),
        ("{}", {}),
    ],
)
def test_yaml_is_read_as_json_would_be(text: str, expected: Any) -> None:
    """The core schema of YAML 1.2 and anchors are supported."""
    assert read(text) == expected


BOOLEANS = ("yes", "No", "on", "OFF")
NUMBERS = (
    "012",
    "0x1F",
    "0b1",
    "1_000",
    "12:30:45",
    "+1",
    ".5",
    "1.",
    ".inf",
    ".nan",
    "1e5",
    "1.5e3",
    "0o12",
    "+1e5",
    "-.5",
)


@pytest.mark.parametrize("text", BOOLEANS + NUMBERS)
def test_what_versions_of_yaml_read_differently_is_refused(text: str) -> None:
    """The author must say what is meant.

    The country code NO is not false, 012 is not ten, and the revision 1e5 is no number.
    """
    _, errors = read_yaml(
        f"p: [x, {{q: {text}}}]", maximum_nesting=64, maximum_expansion=0, maximum_values=1_000
    )

    assert list(by_pointer(errors)) == ["/p/1/q"]
    assert "some readers of YAML" in errors[0].detail


@pytest.mark.parametrize(
    ("text", "pointer", "detail"),
    [
        ("a: 2026-11-24", "/a", "is a date to some readers"),
        ("a: !!binary aGk=", "/a", "the tag tag:yaml.org,2002:binary is not taken"),
        ("a: !!set {x}", "/a", "the tag tag:yaml.org,2002:set has no meaning in JSON"),
        ("a: !!python/object/apply:os.system [x]", "/a", "has no meaning in JSON"),
        ("a: [1, 2, {b: 1, b: 2}]", "/a/2/b", "is there twice"),
        ("1: x", "", "the name of a field must be text"),
        ("[a]: x", "", "the name of a field must be text"),
        ("yes: x", "", "'yes' is a boolean"),
        ("a: &x {b: 1}\nc: {<<: *x}", "/c", "merge keys"),
        ('a: "\\0"', "/a", "holds a NUL"),
        ("a: 9007199254740992", "/a", "not the same number to every reader"),
        ("a: 1.0e+400", "/a", "not the same number to every reader"),
        ("a: " + "1" * 5000, "/a", "not the same number to every reader"),
        ("a: !!int foo", "/a", "write the value plainly"),
    ],
)
def test_what_json_cannot_hold_is_reported_with_its_place(text: str, pointer: str, detail: str) -> None:
    """Dates, sets, binary, numbers as names: a guess might be another document than the author meant."""
    _, errors = read_yaml(text, maximum_nesting=64, maximum_expansion=100, maximum_values=1_000)

    assert [error.pointer for error in errors] == [pointer]
    assert detail in errors[0].detail


def test_all_errors_are_reported_at_once() -> None:
    """Each has its pointer."""
    _, errors = read_yaml(
        "a: yes\nb: [on, 1, 0x1]\nc: {d: 1, d: 2}\n2: x",
        maximum_nesting=64,
        maximum_expansion=0,
        maximum_values=1_000,
    )

    assert [error.pointer for error in errors] == ["/a", "/b/0", "/b/2", "/c/d", ""]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\n"
            "d: &d [*c, *c, *c]\ne: &e [*d, *d, *d]\nf: [*e, *e, *e]",
            TooLarge,
        ),
        (f"a: &a {'x' * 400}\nb: [*a, *a, *a]", TooLarge),
        ("a: &a [[[[[[x]]]]]]\nb: [[[*a]]]", TooLarge),
        ("a: &a [[[[x]]]]\nb: &b [*a]\nc: [[[[*b]]]]", TooLarge),
        ("[[[[[[[[[1]]]]]]]]]", TooLarge),
        ("a: &a [*a]", Malformed),
        ("a: *b", Malformed),
        ("a: \0", Malformed),
        ("a:\t- b", Malformed),
        ("%YAML 3.0\n---\na: 1", Malformed),
    ],
)
def test_what_would_grow_or_never_end_is_refused(text: str, error: type[GatewayError]) -> None:
    """Ten lines of aliases can stand for a billion values, and an alias could refer to its own container."""
    with pytest.raises(error):
        read(text, nesting=8, expansion=1_000)


def test_a_field_may_be_named_on() -> None:
    """Nobody writes quotes around it: YAML 1.1 reads a boolean there, which cannot be a name in JSON."""
    text = "retry: {on: [75, timeout]}\nnotify:\n- on: [Failed]\n"

    assert read(text) == {"retry": {"on": [75, "timeout"]}, "notify": [{"on": ["Failed"]}]}


@pytest.mark.parametrize("text", ["a: on", "a: [on]", "On: 1", "off: 1", "yes: 1", "a: {on: on}"])
def test_other_words_that_are_booleans_to_some_are_refused(text: str) -> None:
    _, errors = read_yaml(text, maximum_nesting=9, maximum_expansion=0, maximum_values=99)
    assert "is a boolean to some readers of YAML" in errors[0].detail
