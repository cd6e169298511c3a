"""Tests the document that `waypost submit` sends, with and without `--param`."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.cli.errors import CliError, Exit
from gateway.cli.runs.params import named_submission, read_document

WORKFLOW = """
apiVersion: waypost/v1
kind: Workflow
metadata: {name: w}
spec:
  params: {who: nobody, times: 3, parts: [a]}
  tasks: [{name: a, type: delay, run: {seconds: 0}}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "w.yaml"
    path.write_text(WORKFLOW)
    return path


def params(file: Path, *given: str) -> dict[str, Any]:
    body, media_type = read_document(str(file), given)
    assert media_type == "application/json"
    found: dict[str, Any] = msgspec.json.decode(body)["spec"]["params"]
    return found


def test_without_params_the_file_goes_as_it_is(file: Path) -> None:
    """Whatever is wrong with it is the gateway's to say."""
    assert read_document(str(file), ()) == (WORKFLOW.encode(), "application/yaml")
    file.write_bytes(b"  {not json")
    assert read_document(str(file), ()) == (b"  {not json", "application/json")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"spec": {"params": {"a": 1e-1, "b": "\\ud83d\\ude00"}}}', "json"),
        ("{spec: {params: {a: 0.1, b: 😀}}}", "yaml"),
        ("spec:\n  params: {a: 0.1, b: 😀}\n", "yaml"),
    ],
)
def test_a_document_is_read_alike_with_params_and_without(file: Path, text: str, kind: str) -> None:
    """JSON as JSON, and YAML in its flow style, which begins like JSON, as YAML."""
    file.write_text(text)
    assert read_document(str(file), ())[1] == f"application/{kind}"
    assert params(file, "a=2") == {"a": 2, "b": "😀"}


def test_a_param_has_the_type_that_the_document_gives_it(file: Path) -> None:
    """Text stays text, also where it looks like a number; a number or a list stays one."""
    assert params(file, "who=42", "times=5", 'parts=["b", "c"]') == {
        "who": "42",
        "times": 5,
        "parts": ["b", "c"],
    }
    assert params(file, "who=a=b") == {"who": "a=b", "times": 3, "parts": ["a"]}
    file.write_text("spec: {params: {any: null, flag: true}}")
    assert params(file, "any=2026-01-31", "flag=false") == {"any": "2026-01-31", "flag": False}


def test_a_param_may_be_new_where_the_document_asks_for_it(file: Path) -> None:
    """By a placeholder; or where it lists none at all, since a task may read it from its input."""
    file.write_text(WORKFLOW.replace("seconds: 0", "seconds: '${params.pause}'"))
    assert params(file, "pause=7")["pause"] == "7"
    file.write_text("spec: {tasks: []}")
    assert params(file, "new=7") == {"new": "7"}


@pytest.mark.parametrize(
    ("text", "given", "said"),
    [
        (WORKFLOW, "who", "write name=value"),
        ("spec: {tasks: []}", "=x", "write name=value"),
        (WORKFLOW, "times=many", "must be a number, like the 3 in the document"),
        (WORKFLOW, 'times="4"', "must be a number"),
        (WORKFLOW, "times=true", "must be a number"),
        (WORKFLOW, "parts=b", r'must be a list in JSON, like the \["a"\]'),
        (WORKFLOW, "time=4", "there is no params.time; did you mean times?"),
        (WORKFLOW, "zzz=4", "there is no params.zzz; there are who, times, parts"),
        (WORKFLOW + "spec: {}\n", "who=me", "cannot be read"),
        ("spec: [1]", "who=me", "no spec"),
        ("spec: {params: null}", "who=me", "no spec"),
        ("just text", "who=me", "no spec"),
        ("a: [", "who=me", "not YAML"),
        ("a: &x [*x]", "who=me", "w.yaml"),
        ("{not json", "who=me", "not JSON"),
        ("\ufeffspec: {}", "who=me", "byte order mark"),
    ],
)
def test_what_cannot_be_filled_in_is_reported(file: Path, text: str, given: str, said: str) -> None:
    """Before anything is sent.

    A name that is there twice would be lost here, and the gateway could not see it.
    """
    file.write_text(text)
    with pytest.raises(CliError, match=said) as refused:
        read_document(str(file), (given,))
    assert refused.value.code is Exit.USAGE


def test_a_file_that_is_not_text_is_reported(file: Path) -> None:
    """With the place."""
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(CliError, match="not UTF-8"):
        read_document(str(file), ("a=b",))


def test_a_param_of_a_released_workflow_is_sent_as_it_is_written() -> None:
    """A gateway that wants text takes 1.10 and 1e5 as these texts."""
    given = (
        "build=1.10",
        "tag=1e5",
        "flag=true",
        "day=2026-02-01",
        'quoted="7"',
        "list= [1]",
        "text=NaN",
    )
    body, media_type = named_submission("nightly", given)
    sent = b'{"build":1.10,"tag":1e5,"flag":true,"day":"2026-02-01","quoted":"7","list":[1],"text":"NaN"}'
    assert (body, media_type) == (b'{"workflow":"nightly","params":%b}' % sent, "application/json")


@pytest.mark.parametrize("given", ["build", "=7", "="])
def test_a_param_of_a_released_workflow_has_a_name(given: str) -> None:
    """The gateway would be sent a parameter without one."""
    with pytest.raises(CliError, match="write name=value"):
        named_submission("nightly", (given,))
