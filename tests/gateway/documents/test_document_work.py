"""Tests that the work to read any document of a megabyte is bounded, counted in function calls."""

import json
import sys
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from gateway.core.errors import GatewayError, Invalid, TooLarge
from gateway.documents.checks import check
from gateway.documents.parsing import parse
from gateway.documents.partial_checks import PartialChecks
from gateway.settings import DocumentLimits
from tests.gateway.documents.documents import EXECUTORS, JSON, LIMITS, YAML, document, task
from waypost.json_pointer import LONGEST, MAXIMUM_ERRORS

ENGINES = dict.fromkeys(("beijing", "guangzhou", "shanghai"), "embedded")
UNITS = 10_000
YAML_HEAD = (
    "apiVersion: waypost/v1\nkind: Workflow\nmetadata: {name: n}\n"
    "spec:\n  tasks: [{name: a, type: process, run: {command: [x]}}]\n  params:\n    p:\n"
)


def calls_for(body: bytes, media_type: str) -> int:
    """Counts the function calls that reading and checking `body` takes."""
    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    valid_parts = PartialChecks(LIMITS, EXECUTORS, ENGINES)
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        with suppress(GatewayError):
            workflow = parse(body, media_type, LIMITS, valid_parts)
            check(workflow, msgspec.json.encode(workflow), LIMITS, EXECUTORS, ENGINES)
    finally:
        sys.setprofile(before)
    return calls


def command(*arguments: Any) -> dict[str, Any]:
    return task(run={"command": list(arguments)})


DOCUMENTS: dict[str, tuple[Any, float]] = {
    "doubled names": ("a: 1\n" * UNITS, 2),
    "doubled names without a value": ("? a\n" * UNITS, 2),
    "merge keys": ("x: &a {}\n" + "<<: *a\n" * UNITS, 2),
    "scalars that readers take differently": ("- 1_000\n" * UNITS, 2),
    "plain numbers": (YAML_HEAD + "".join(f"    - {n}\n" for n in range(UNITS)), 15),
    "plain words": (YAML_HEAD + "".join(f"    - yes{n}\n" for n in range(UNITS)), 20),
    "aliases": (YAML_HEAD + "    - &a [x]\n" + "    - *a\n" * UNITS, 12),
    "aliases of mistakes": (YAML_HEAD + "    - &a yes\n" + "    - *a\n" * UNITS, 12),
    "unknown regions": (document(placement={"regions": [f"beijin{n}" for n in range(UNITS)]}), 2),
    "unknown fields": ({f"field-{n}": 1 for n in range(UNITS)}, 10),
    "valid tasks and an error": (document(*[task(f"t{n}") for n in range(UNITS)], priority=10), 40),
    "valid needs and an error": (document(task(needs=[f"t{n}" for n in range(UNITS)]), priority=10), 5),
    "placeholders in one text": (document(command("${params.x}" * UNITS), params={"x": ""}), 5),
    "mistaken placeholders": (document(command(*["${"] * UNITS)), 5),
    "a large task for items of many forms": (
        document(command(*["${shard.item}"] * UNITS), shards={"items": [{f"x{n}": n} for n in range(1_000)]}),
        60,
    ),
    "numbers and arrays in JSON": (f'{{"a": [{"[1.5] , " * UNITS}1]}}', 8),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_work_for_a_document_is_bounded(name: str) -> None:
    """A megabyte is a hundred thousand of anything, and must be answered within half a second."""
    value, most = DOCUMENTS[name]
    media_type = JSON if isinstance(value, dict) or value.startswith("{") else YAML
    body = (value if isinstance(value, str) else json.dumps(value)).encode()
    calls_for(body[:20], media_type)  # what is made once is not counted

    assert calls_for(body, media_type) < most * UNITS


def test_names_and_values_of_yaml_are_bounded() -> None:
    """Its reader takes two microseconds for each: the sentence says the bound, and what has none."""
    limits = DocumentLimits(maximum_yaml_values=100)

    with pytest.raises(TooLarge, match="more than 100 names and values: write it as JSON"):
        parse(("- x\n" * 100).encode(), YAML, limits)
    with pytest.raises(TooLarge, match="more than 100 names and values"):
        parse(("- &a x\n" + "- *a\n" * 99).encode(), YAML, limits)
    for within in ("- x\n" * 99, "- &a x\n" + "- *a\n" * 98):
        with pytest.raises(Invalid, match="has 1 error"):
            parse(within.encode(), YAML, limits)


def test_the_largest_of_workflows_may_be_yaml() -> None:
    """The bound of values leaves room for as many tasks as may be, each with needs and retries."""
    tasks = (
        f"  - {{name: t{n}, type: delay, run: {{seconds: 1}}, needs: [t{n - 1}], retry: {{limit: 1}}}}\n"
        for n in range(1, LIMITS.maximum_tasks)
    )
    head = "apiVersion: waypost/v1\nkind: Workflow\nmetadata: {name: n}\nspec:\n  tasks:\n"
    body = f"{head}  - {{name: t0, type: delay, run: {{seconds: 1}}}}\n{''.join(tasks)}"

    assert len(parse(body.encode(), YAML, LIMITS).spec.tasks) == LIMITS.maximum_tasks


def test_declared_abbreviations_of_tags_are_bounded() -> None:
    """Libyaml compares each with all before it."""
    with pytest.raises(TooLarge, match="%TAG"):
        parse("".join(f"%TAG !a{n}! b\n" for n in range(101)).encode() + b"---\nx", YAML, LIMITS)


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (f'{{"a": {{"{"k" * 100_000}": [{"NaN, " * 1_000}1]}}}}', JSON),
        (f"a:\n  ? {'k' * 100_000}\n  : [{'yes, ' * 1_000}1]", YAML),
        (json.dumps(document(task(source={"k" * 100_000: ["${"] * 1_000}))), JSON),
    ],
)
def test_no_pointer_repeats_a_name_of_any_length(body: str, media_type: str) -> None:
    """A thousand errors below a name of a megabyte would be a gigabyte."""
    try:
        workflow = parse(body.encode(), media_type, LIMITS)
        found = check(workflow, msgspec.json.encode(workflow), LIMITS, EXECUTORS)
    except Invalid as invalid:
        found = list(invalid.errors)

    assert 0 < len(found) <= MAXIMUM_ERRORS
    assert max(len(error.pointer) for error in found) <= LONGEST
