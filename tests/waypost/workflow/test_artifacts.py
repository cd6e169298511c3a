"""Tests what is an artifact in a source or target, and which ones are refused."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.workflow.artifacts import artifact_faults, is_artifact, path_fault, read_artifact

GOOD: Final[dict[str, Any]] = {"storage": "exports", "path": "daily/orders.csv"}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (None, False),
        ({}, False),
        ({"s3": {"path": "backup/1"}}, False),
        ({"file": "orders.csv"}, False),
        ({"mysql": {"storage": "prod"}}, False),
        ({"file": GOOD}, True),
        ({"s3": GOOD}, True),
    ],
)
def test_what_names_a_storage_is_an_artifact(data: dict[str, Any] | None, found: bool) -> None:
    """All else was data for the task before there were artifacts, and stays so."""
    assert is_artifact(data) is found


def test_an_artifact_is_read() -> None:
    located = read_artifact({"s3": GOOD | {"workspace": "in/a.csv"}})
    assert (located.kind, located.artifact.storage, located.artifact.file) == ("s3", "exports", "in/a.csv")
    assert read_artifact({"file": GOOD}).artifact.file == "orders.csv"


@pytest.mark.parametrize(
    ("data", "where", "why"),
    [
        ({"file": GOOD, "mysql": {}}, "mysql", "an artifact is one file, with nothing beside it"),
        ({"file": GOOD, "s3": GOOD}, "s3", "an artifact is one file, with nothing beside it"),
        ({"file": {"storage": "exports"}}, "file", "Object missing required field `path`"),
        ({"file": GOOD | {"bucket": "b"}}, "file", "Object contains unknown field `bucket`"),
        ({"file": GOOD | {"path": 3}}, "file/path", "Expected `str`, got `int`"),
        (
            {"file": GOOD | {"storage": "${params.s}"}},
            "file/storage",
            "is no name of a storage: lower-case letters, digits and dashes",
        ),
        ({"file": GOOD | {"path": "/etc/passwd"}}, "file/path", "is no relative path"),
        ({"file": GOOD | {"path": "a/../../b"}}, "file/path", "has an empty part, `.` or `..`"),
        ({"file": GOOD | {"workspace": "a/"}}, "file/workspace", "has an empty part, `.` or `..`"),
        (
            {"file": GOOD | {"sha256": "ABC"}},
            "file/sha256",
            "is no SHA-256: 64 digits from 0 to 9 and a to f",
        ),
    ],
)
def test_a_wrong_artifact_is_refused_with_its_place(data: dict[str, Any], where: str, why: str) -> None:
    found = list(artifact_faults(data, of_target=False, filled_in=False))
    assert [("/".join(path), fault) for path, fault in found] == [(where, why)]


def test_placeholders_are_looked_at_once_they_are_filled_in() -> None:
    data = {"file": GOOD | {"path": "${item}", "sha256": "${tasks.a.output.artifacts.target.sha256}"}}
    assert not list(artifact_faults(data, of_target=False, filled_in=False))
    # What was filled in may hold the characters of a placeholder, and is one no more.
    found = list(artifact_faults(data, of_target=False, filled_in=True))
    assert [path for path, _ in found] == [("file", "sha256")]


def test_a_target_expects_no_checksum() -> None:
    found = list(artifact_faults({"file": GOOD | {"sha256": "0" * 64}}, of_target=True, filled_in=False))
    assert found == [(("file", "sha256"), "only a source has one: that of a target is in the task's output")]


@pytest.mark.parametrize("path", ["", "/", "/a", "a//b", "a/", ".", "..", "a/./b", "a\nb", "a\0", "é" * 513])
def test_what_could_lead_elsewhere_is_no_path(path: str) -> None:
    assert path_fault(path)


@given(st.text(max_size=40))
def test_a_path_stays_below_its_folder(path: str) -> None:
    parts = path.split("/")
    leaves = "" in parts or "." in parts or ".." in parts or "\0" in path
    assert path_fault(path) or not leaves
