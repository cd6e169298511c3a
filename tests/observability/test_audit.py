"""What a sealed trail shows about edits, deletions, additions, other orders, cut ends and forks."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from observability.audit import Seal, make_seal, verify

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = KEY.public_key()

Entries = dict[int, dict[str, Any]]


def trail(count: int = 12, stretch: int = 4) -> tuple[Entries, list[Seal]]:
    """Entries with seals over each `stretch` of them. Numbers have gaps: other history lies between."""
    entries: Entries = {
        n * 3: {"seq": n * 3, "kind": "Accepted", "actor": f"a{n}"} for n in range(1, count + 1)
    }
    seals: list[Seal] = []
    numbers = sorted(entries)
    for start in range(0, count, stretch):
        part = {number: entries[number] for number in numbers[start : start + stretch]}
        seals.append(make_seal(part, seals[-1] if seals else None, at=float(start), key=KEY))
    return entries, seals


def found(entries: Entries, seals: list[Seal], **more: Any) -> list[tuple[int | None, int | None]]:
    return [(finding.entry, finding.seal) for finding in verify(entries, seals, key=PUBLIC, **more)]


def test_a_trail_as_it_was_sealed_is_right() -> None:
    """Also with entries that are not sealed yet."""
    entries, seals = trail()
    assert found(entries, seals) == []
    entries[1_000] = {"seq": 1_000}
    assert found(entries, seals, known=seals) == []
    assert found({}, []) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda entries: entries[9].update(actor="eve"), [(9, 1)]),
        (lambda entries: entries.pop(15), [(15, 2)]),
        (lambda entries: entries.update({10: {"seq": 10}}), [(10, None)]),
        (lambda entries: entries.update({3: entries[6], 6: entries[3]}), [(3, 1), (6, 1)]),
    ],
    ids=["edited", "deleted", "added", "reordered"],
)
def test_each_entry_that_was_touched_is_named(change: Any, expected: Any) -> None:
    """With its number and the seal over it."""
    entries, seals = trail()
    change(entries)
    assert found(entries, seals) == expected


def test_a_cut_end_is_found_by_seals_kept_elsewhere() -> None:
    """By itself the rest is whole: that is why exports are kept."""
    entries, seals = trail()
    left = {number: entry for number, entry in entries.items() if number <= 24}
    assert found(left, seals[:2]) == []
    assert found(left, seals[:2], known=seals) == [(None, 3)]
    assert found(left, seals) == [(27, 3), (30, 3), (33, 3), (36, 3)], "the seals alone were left"


def test_a_fork_is_found() -> None:
    """Somebody with the key who writes another end, and somebody without."""
    entries, seals = trail()
    other = make_seal({n: entries[n] for n in (27, 30)}, seals[1], at=9.0, key=KEY)
    assert (None, 3) in found(entries, [*seals[:2], other], known=seals)
    forged = make_seal(
        {n: entries[n] for n in (27, 30, 33, 36)},
        seals[1],
        at=9.0,
        key=ec.generate_private_key(ec.SECP256R1()),
    )
    assert found(entries, [*seals[:2], forged]) == [(None, 3)]


def test_seals_in_another_order_or_missing_are_found() -> None:
    """And a seal that was edited."""
    entries, seals = trail()
    assert (None, 3) in found(entries, [seals[0], seals[2], seals[1]])
    assert (None, 3) in found(entries, [seals[0], seals[2]])
    edited = structs.replace(seals[1], at=5.0)
    assert (None, 2) in found(entries, [seals[0], edited, seals[2]])
    assert found(entries, [structs.replace(seals[0], signature="!"), *seals[1:]]) != []


@settings(max_examples=60)
@given(st.data())
def test_no_single_change_goes_unnoticed(data: st.DataObject) -> None:
    """Any entry, edited or deleted."""
    entries, seals = trail()
    number = data.draw(st.sampled_from(sorted(entries)))
    if data.draw(st.booleans()):
        del entries[number]
    else:
        entries[number] = entries[number] | {data.draw(st.text(max_size=5)): data.draw(st.integers())}
    assert [entry for entry, _ in found(entries, seals)] == [number]
