"""Tests placeholders in the labels of a workflow."""

import json
from typing import Any

import pytest

from gateway.documents.labels.filling import with_filled_labels
from tests.gateway.documents.documents import document, errors_in, read


def labelled(params: dict[str, Any], **labels: str) -> dict[str, Any]:
    return document(params=params) | {"metadata": {"name": "nightly", "labels": labels}}


def filled(params: dict[str, Any], label: str) -> str:
    given = labelled(params, day=label)
    assert errors_in(given) == {}
    return with_filled_labels(read(given)).metadata.labels["day"]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("${params.date}", "2026-01-31"),
        ("day-${params.date}/${params.part}", "day-2026-01-31/3"),
        ("${params.part}", "3"),
        ("${params.full}", "true"),
        ("${params.team.name}", "data"),
        ("$${params.date}", "${params.date}"),
        ("plain $", "plain $"),
        ("${params.odd}", "${params.date}"),
    ],
)
def test_labels_take_parameters(label: str, expected: str) -> None:
    """To find the runs of a day; what was filled in is never read as a placeholder again."""
    params = {
        "date": "2026-01-31",
        "part": 3,
        "full": True,
        "team": {"name": "data"},
        "odd": "${params.date}",
    }

    assert filled(params, label) == expected


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("${params.dat}", "names nothing: there is no params.dat"),
        ("${shard.index}", "names nothing: labels are of the run, and take params"),
        ("${params.list}", "is no text and no number, as a label's value is"),
        ("x${params.nothing}", "is no text and no number, as a label's value is"),
        ("${params.long}", "has 300 characters, filled in; 256 are allowed"),
        ("${params.half}${params.half}", "has 400 characters, filled in; 256 are allowed"),
        ("${params.date", "its } is missing"),
    ],
)
def test_what_a_label_cannot_be_is_refused(label: str, expected: str) -> None:
    params = {"date": "x", "list": [1], "nothing": None, "long": "x" * 300, "half": "x" * 200}

    (error,) = errors_in(labelled(params, day=label)).items()
    assert error[0] == "/metadata/labels/day"
    assert expected in error[1]


def test_a_document_without_placeholders_stays_the_same_object() -> None:
    """It costs such a document nothing."""
    workflow = read(json.loads(json.dumps(labelled({}, team="data"))))

    assert with_filled_labels(workflow) is workflow
