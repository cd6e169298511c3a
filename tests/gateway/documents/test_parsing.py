"""Tests the parsing of submissions: every error at once, and a clear refusal for any input."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gateway.core.errors import GatewayError, Invalid, Malformed, TooLarge, UnsupportedMediaType
from gateway.documents.checks import check
from gateway.documents.parsing import REPORTED_ERRORS, document_schema, invalid_document, parse
from gateway.documents.workflow import Workflow
from gateway.settings import DocumentLimits
from tests.gateway.documents.documents import (
    EXECUTORS,
    JSON,
    LIMITS,
    YAML,
    document,
    schema_errors_in,
    task,
)
from waypost.json_pointer import FieldError
from waypost.workflow.ijson_limits import NUMBER


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            b'"v"',
            b"9007199254740992",
            "9007199254740992 is not the same number to every reader: write it as a string",
        ),
        (
            b'"v"',
            b"1" + b"0" * 5000,
            f"1{'0' * 39} is not the same number to every reader: write it as a string",
        ),
        (b'"v"', b"1e400", "1e400 is not the same number to every reader: write it as a string"),
        (b'"v"', b"-Infinity", "-Infinity is not the same number to every reader: write it as a string"),
        (b'"v"', b"NaN", "NaN is not the same number to every reader: write it as a string"),
        (b'"v"', b'"\\ud800"', "holds half of a surrogate pair, which is no character"),
        (b'"v"', b'"a\\u0000b"', "holds a NUL character, which neither processes nor databases take"),
        (b'"v"', b'"v", "p": 1', "is there twice"),
        (b'"v"', b'"v", "\\u0070": 1', "is there twice"),
    ],
)
def test_what_readers_take_differently_is_refused(old: bytes, new: bytes, expected: str) -> None:
    """Policy must see the document that the cluster runs, also in its free-form values."""
    body = json.dumps(document(params={"p": "v"})).encode()

    assert schema_errors_in(body.replace(old, new)) == {"/spec/params/p": expected}


def test_the_largest_of_exact_numbers_passes() -> None:
    """2^53 - 1 is the last integer of I-JSON; a float may be as large as a double is."""
    exact = {"least": -(2**53) + 1, "most": 2**53 - 1, "float": 1e308, "escape": "\\u0000", "é": "\U0001f600"}

    assert parse(json.dumps(document(params=exact)).encode(), JSON, LIMITS).spec.params == exact


@pytest.mark.parametrize(
    ("body", "media_type", "error", "detail"),
    [
        (b'{"a": 1,\n "b" 2}', JSON, Malformed, "not JSON: Expecting ':' delimiter at line 2, column 6"),
        (b"", JSON, Malformed, "the document is empty"),
        (b" \n", YAML, Malformed, "the document is empty"),
        (b"# nothing\n", YAML, Malformed, "the document is empty"),
        (b"a:\n\tb: 1", YAML, Malformed, "a tab: indent with spaces at line 2, column 1"),
        (b"{} {}", JSON, Malformed, "not JSON: Extra data at line 1, column 4"),
        (b'{"a": "\xff"}', JSON, Malformed, "not UTF-8: byte 7"),
        (b"\xef\xbb\xbf{}", JSON, Malformed, "byte order mark"),
        ("{}".encode("utf-16"), JSON, Malformed, "not UTF-8"),
        ("{}".encode("utf-16-be"), JSON, Malformed, "not JSON"),
        (b'{"a": "' + b'\\"' * 500_000, JSON, Malformed, "not JSON: Unterminated string"),
        (b'{"a":' * 100_000, JSON, TooLarge, "nested more than 64 deep"),
        (b"[" * 100_000, YAML, TooLarge, "nested more than 64 deep"),
        (
            b"a: [1, 2\nb: 3",
            YAML,
            Malformed,
            "not YAML: did not find expected ',' or ']' at line 2, column 2",
        ),
        (b"a: 1\n---\nb: 2", YAML, Malformed, "not one YAML document but several"),
        (b"x" * 1_048_577, JSON, TooLarge, "has 1048577 bytes; 1048576 are allowed"),
        (b"{}", "text/plain", UnsupportedMediaType, "text/plain: send application/json or application/yaml"),
        (b"a: 1", "", UnsupportedMediaType, "no content type"),
        (
            b"{}",
            "application/json; charset=UTF-16",
            UnsupportedMediaType,
            "the character set UTF-16: send UTF-8",
        ),
    ],
)
def test_what_is_no_document_is_refused_with_its_place(
    body: bytes, media_type: str, error: type[GatewayError], detail: str
) -> None:
    """People get line and column, programs get a status, and nobody a stack trace."""
    with pytest.raises(error) as caught:
        parse(body, media_type, LIMITS)
    assert detail in caught.value.detail


@pytest.mark.parametrize(
    "media_type",
    [JSON, "", "application/json; charset=utf-8", "Application/JSON ;charset=UTF-8", YAML, "text/yaml"],
)
def test_json_is_read_under_every_name_that_fits_it(media_type: str) -> None:
    """JSON is YAML too, and JSON without a media type is still recognized."""
    value = document(
        task(timeoutSeconds=1e2, run={"command": ["true"], "env": {"A": "on"}}),
        params={"é": [1.5, None, True]},
    )

    assert parse(json.dumps(value).encode(), media_type, LIMITS) == msgspec.convert(value, Workflow)


@pytest.mark.parametrize("nesting", [63, 64, 65])
@pytest.mark.parametrize("media_type", [JSON, YAML])
def test_nesting_is_counted_the_same_everywhere(nesting: int, media_type: str) -> None:
    """Policy engines stop at 128 levels: no notation may get a deeper document past the limit."""
    inner: Any = "v"
    for _ in range(nesting - 3):
        inner = [inner]
    body = json.dumps(document(params={"p": inner})).encode()

    if nesting <= 64:
        assert parse(body, media_type, LIMITS).spec.params["p"] == inner
    else:
        with pytest.raises(TooLarge):
            parse(body, media_type, LIMITS)


def test_what_is_nested_as_deep_as_python_recurses_is_refused_as_such() -> None:
    """Decoding, converting and encoding end at other depths: a document between them is no failure."""
    for nesting in range(600, 1_000):
        body = json.dumps(document(params={"p": "v"})).replace('"v"', "[" * nesting + "]" * nesting)
        with pytest.raises(TooLarge):
            parse(body.encode(), JSON, LIMITS)


def test_texts_that_look_deep_or_like_large_numbers_are_texts() -> None:
    """A quick look at the brackets and digits of a document must refuse nothing."""
    params = {"deep": "[{" * 64, "number": "9" * 400, "fraction": 0.1234567890123456}

    assert parse(json.dumps(document(params=params)).encode(), JSON, LIMITS).spec.params == params


def test_errors_are_counted_and_the_first_of_them_shown() -> None:
    """The response and the time for it stay small for any input."""
    with pytest.raises(Invalid, match="has 150 errors, the first 100 are shown") as caught:
        parse(json.dumps(document(*[{"name": "a", "type": "x"}] * 150)).encode(), JSON, LIMITS)
    assert len(caught.value.errors) == REPORTED_ERRORS
    with pytest.raises(Invalid, match="has 300 errors or more"):
        parse(json.dumps({f"field-{i}": 1 for i in range(50_000)}).encode(), JSON, LIMITS)
    assert invalid_document([FieldError("/a", "b")]).detail == "the document has 1 error"


def test_a_limit_of_the_settings_counts() -> None:
    """Operators set the limits."""
    with pytest.raises(TooLarge):
        parse(json.dumps(document()).encode(), JSON, DocumentLimits(maximum_bytes=20))


def test_the_schema_that_is_served_describes_the_document() -> None:
    """The served schema is valid, describes each field and agrees with the parser.

    Editors complete and check documents with it.
    """
    served = document_schema()
    Draft202012Validator.check_schema(served)
    fields = served["$defs"]["Spec"]["properties"] | served["$defs"]["TaskSpec"]["properties"]

    assert served["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert [
        name
        for name, field in fields.items()
        if "description" not in field and "$ref" not in field and "anyOf" not in field
    ] == []
    assert all("description" in definition for definition in served["$defs"].values())
    assert list(Draft202012Validator(served).iter_errors(document(task(needs=["b"]), task("b")))) == []


letters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="$")
words = st.text(letters, max_size=12).filter(
    lambda text: not NUMBER.fullmatch(text)
)  # PyYAML writes the text 1e5 without its quotes
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def workflows(draw: st.DrawFn) -> dict[str, Any]:
    """Generates any valid document: a DAG whose tasks need only earlier ones."""
    tasks = []
    for index in range(draw(st.integers(1, 5))):
        needs = draw(st.lists(st.integers(0, index - 1), unique=True, max_size=3)) if index else []
        tasks.append(
            task(
                f"task-{index}",
                needs=[f"task-{need}" for need in needs],
                source=draw(st.none() | st.fixed_dictionaries({"s": values})),
            )
        )
    shards: dict[str, Any] = draw(st.sampled_from([{}, {"count": 3}])) or {
        "items": draw(st.lists(values, min_size=1, max_size=3))
    }
    return document(
        *tasks,
        params=draw(st.dictionaries(words, values, max_size=3)),
        shards=shards,
        priority=draw(st.integers(0, 9)),
    )


@given(workflows())
def test_a_valid_document_means_the_same_however_it_is_written(value: dict[str, Any]) -> None:
    """JSON with and without spaces, and YAML in both styles, give the same document."""
    expected = msgspec.convert(value, Workflow)
    bodies = [
        (msgspec.json.encode(value), JSON),
        (json.dumps(value, indent=1).encode(), JSON),
        (yaml.dump(value, Dumper=yaml.CSafeDumper, allow_unicode=True).encode(), YAML),
        (yaml.dump(value, Dumper=yaml.CSafeDumper, default_flow_style=True).encode(), YAML),
        (msgspec.json.encode(expected), JSON),
    ]

    for body, media_type in bodies:
        assert parse(body, media_type, LIMITS) == expected
    assert check(expected, msgspec.json.encode(expected), LIMITS, EXECUTORS) == []


ODD = [b"[", b"{", b'"', b"\\ud800", b"${", b"&a ", b"*a", b"<<: ", b"1e999", b"\0", b"!!set ", b": "]
SAMPLE = json.dumps(
    document(task(when="params.p == 1", run={"command": ["${params.p}"]}), params={"p": 1})
).encode()


@given(
    st.binary(max_size=200)
    | st.builds(
        lambda at, length, new: SAMPLE[:at] + new + SAMPLE[at + length :],
        st.integers(0, len(SAMPLE)),
        st.integers(0, 20),
        st.binary(max_size=6)
        | st.sampled_from(
            [b"[", b"{", b'"', b"\\ud800", b"${", b"&a ", b"*a", b"<<: ", b"1e999", b"\0", b"!!set ", b": "]
        ),
    ),
    st.sampled_from([JSON, YAML, ""]),
)
def test_whatever_is_sent_is_read_or_refused(body: bytes, media_type: str) -> None:
    """No input causes a 500: it gives a document, a list of errors or a refusal."""
    with suppress(Malformed, TooLarge, UnsupportedMediaType, Invalid):
        workflow = parse(body, media_type, LIMITS)
        assert isinstance(check(workflow, msgspec.json.encode(workflow), LIMITS, EXECUTORS), list)
