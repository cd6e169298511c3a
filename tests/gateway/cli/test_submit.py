"""What `waypost submit` sends."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.cli.client import CliError, Exit
from gateway.cli.submit import read_document

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


def test_a_param_has_the_type_that_the_document_gives_it(file: Path) -> None:
    """Text stays text, also where it looks like a number; what is a number or a list there is one afterwards."""
    assert params(file, "who=42", "new=7", "times=5", 'parts=["b", "c"]') == {"who": "42", "new": "7", "times": 5, "parts": ["b", "c"]}
    assert params(file, "who=a=b") == {"who": "a=b", "times": 3, "parts": ["a"]}


@pytest.mark.parametrize(
    ("text", "given", "said"),
    [
        (WORKFLOW, "who", "write name=value"),
        (WORKFLOW, "times=many", "is not JSON"),
        (WORKFLOW + "spec: {}\n", "who=me", "cannot be read"),
        ("spec: [1]", "who=me", "no spec"),
        ("just text", "who=me", "no spec"),
        ("a: [", "who=me", "w.yaml"),
        ("a: &x [*x]", "who=me", "w.yaml"),
    ],
)
def test_what_cannot_be_filled_in_is_said(file: Path, text: str, given: str, said: str) -> None:
    """Before anything is sent. A name that is there twice would be lost here, and the gateway could not see it."""
    file.write_text(text)
    with pytest.raises(CliError, match=said) as refused:
        read_document(str(file), (given,))
    assert refused.value.code is Exit.USAGE


def test_a_file_that_is_not_text_is_said(file: Path) -> None:
    """With the place."""
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(CliError, match="not UTF-8"):
        read_document(str(file), ("a=b",))
