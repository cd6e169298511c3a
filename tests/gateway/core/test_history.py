"""Tests that the public form of a run's history stays the same."""

import msgspec
import pytest

from gateway.core.history import (
    DETAILS,
    OF_RETRIES,
    HistoryEntry,
    HistoryKind,
    RegionEventDetail,
    TransitionDetail,
)
from gateway.core.shard_states import Event, Phase
from tests.gateway.core.history_entries import EXAMPLES, history_entry


def test_every_kind_has_a_shape() -> None:
    """An entry whose kind has none could be neither written nor read back."""
    assert set(DETAILS) == set(HistoryKind)
    assert {type(example) for example in EXAMPLES} == set(DETAILS.values())


def test_every_event_of_a_shard_is_a_kind() -> None:
    """A retry is written once for the run, as `Reopened`."""
    transitions = {kind.value for kind, shape in DETAILS.items() if shape is TransitionDetail}

    assert transitions == {event.value for event in Event if event not in OF_RETRIES}


@pytest.mark.parametrize("kind", HistoryKind)
def test_a_detail_is_read_back_from_its_json(kind: HistoryKind) -> None:
    """A store keeps it as JSON."""
    detail = history_entry(kind).detail

    assert msgspec.json.decode(msgspec.json.encode(detail), type=DETAILS[kind]) == detail


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (
            HistoryKind.REGION_LOST,
            b'{"reason":"Timeout","from":"Running","to":"Suspect","epoch":3,"region":"beijing"}',
        ),
        (HistoryKind.EXPIRED, b'{"from":"Pending","to":"Failed","epoch":0,"region":null}'),
        (
            HistoryKind.PLACED,
            b'{"region":"beijing","epoch":1,"scores":{"beijing":0.02,"aachen":0.3},"rejected":{},"decision_id":"d1"}',
        ),
        (
            HistoryKind.PLACED,
            b'{"region":"b","epoch":2,"scores":{"b":0.5},"rejected":{"c":"full"},"decision_id":"d1","remade":["x"]}',
        ),
        (HistoryKind.UNPLACEABLE, b'{"reason":"policy could not be asked"}'),
        (HistoryKind.UNPLACEABLE, b'{"reason":"0/0 regions fit: ","rejected":{}}'),
        (
            HistoryKind.TASK_FINISHED,
            b'{"task":"a","phase":"Failed","epoch":1,"region":"b","tries":3,"seconds":null,"reason":"ExitCode"}',
        ),
        (
            HistoryKind.TASK_FINISHED,
            b'{"task":"a","phase":"Succeeded","epoch":1,"region":"b","tries":1,"seconds":0.204}',
        ),
        (HistoryKind.REAPED, b'{"region":"beijing","epoch":1}'),
        (
            HistoryKind.ACCEPTED,
            b'{"subject":"ada","issuer":"i","client":"","decision_id":"d","revision":"r","rules":["a"],"regions":["b"],"trace_id":""}',
        ),
        (
            HistoryKind.CANCEL_REQUESTED,
            b'{"decision_id":"d","revision":"r","rules":["a"],"trace_id":"t"}',
        ),
        (HistoryKind.RUN_PHASE, b'{"from":"Pending","to":"Running"}'),
        (HistoryKind.CORDONED, b'{"region":"beijing","decision_id":"d"}'),
        (HistoryKind.STORE_RESTORED, b'{"region":"beijing"}'),
    ],
)
def test_what_is_stored_is_shown_unchanged(kind: HistoryKind, stored: bytes) -> None:
    """Programs read these fields, and stores hold entries of earlier versions."""
    assert msgspec.json.encode(msgspec.json.decode(stored, type=DETAILS[kind])) == stored


def test_an_entry_of_another_shape_is_refused() -> None:
    """It could be written, and never read back."""
    with pytest.raises(TypeError, match="Completed has TransitionDetail, not RegionEventDetail"):
        HistoryEntry(run="r", kind=HistoryKind.COMPLETED, at=0.0, detail=RegionEventDetail(region="beijing"))


def test_an_entry_names_the_decision_behind_it() -> None:
    """`explain` shows each decision that a history names."""
    moved = TransitionDetail(before=Phase.PENDING, after=Phase.FAILED, epoch=0, region=None)

    assert history_entry(HistoryKind.PLACED).decision_id == "d1"
    assert history_entry(HistoryKind.EXPIRED, detail=moved).decision_id is None
