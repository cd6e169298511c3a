"""Tests what verifying a sealed trail finds: edits, deletions, additions, reordering, cut ends, forks."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from observability.audit import Seal, make_seal
from observability.audit_verification import TAIL_ENTRIES, Verification, verify

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = KEY.public_key()

Entries = dict[int, dict[str, Any]]


def trail(count: int = 12, stretch: int = 4) -> tuple[Entries, list[Seal]]:
    """Returns audit entries, with a seal over each `stretch` of them.

    Numbers have gaps: other history lies between.
    """
    entries: Entries = {n * 3: {"seq": n * 3, "at": n - 1.0, "actor": f"a{n}"} for n in range(1, count + 1)}
    seals: list[Seal] = []
    numbers = sorted(entries)
    for start in range(0, count, stretch):
        part = {number: entries[number] for number in numbers[start : start + stretch]}
        seals.append(make_seal(part, seals[-1] if seals else None, at=float(start + stretch), key=KEY))
    return entries, seals


def found(entries: Entries, seals: list[Seal], **more: Any) -> list[tuple[int | None, int | None]]:
    return [
        (finding.entry, finding.seal) for finding in check(list(entries.values()), seals, **more).findings
    ]


def check(entries: list[dict[str, Any]], seals: list[Seal], **more: Any) -> Verification:
    return verify(entries, seals, **{"keys": [PUBLIC]} | more)


def test_a_trail_as_it_was_sealed_is_right() -> None:
    """Also with entries that are not sealed yet."""
    entries, seals = trail()
    assert found(entries, seals) == []
    entries[1_000] = {"seq": 1_000, "at": 12.5}
    result = check(list(entries.values()), seals, known=seals)
    assert (result.findings, result.sealed, result.unsealed) == ((), 12, 1)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda entries: entries[9].update(actor="eve"), [(9, 1)]),
        (lambda entries: entries.pop(15), [(15, 2)]),
        (lambda entries: entries.update({10: {"seq": 10}}), [(10, None)]),
    ],
    ids=["edited", "deleted", "added"],
)
def test_each_entry_that_was_touched_is_named(change: Any, expected: Any) -> None:
    """With its number and the seal over it."""
    entries, seals = trail()
    change(entries)
    assert found(dict(sorted(entries.items())), seals) == expected


def test_a_cut_end_is_found_by_seals_kept_elsewhere() -> None:
    """By itself the rest is whole: that is why exports are kept."""
    entries, seals = trail()
    left = {number: entry for number, entry in entries.items() if number <= 24}
    assert found(left, seals[:2]) == []
    assert found(left, seals[:2], known=seals) == [(None, 3)]
    assert found(left, seals) == [(27, 3)], "the seals alone were left"


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


def test_each_thing_wrong_with_seals_is_one_finding() -> None:
    """Swapped, repeated, missing, edited; and a key that is another."""
    entries, seals = trail(count=16)
    one, two, three, four = seals
    assert found(entries, [one, three, two, four]) == [(None, 2)]
    assert found(entries, [one, two, two, three, four]) == [(None, 2)]
    assert found(entries, [one, three, four]) == [(None, 3)]
    assert found(entries, [one, four]) == [(None, 4)]
    assert found(entries, [two, three, four]) == [(None, 2)]
    assert found(entries, [one, structs.replace(two, at=5.0), three, four]) == [(None, 2)]
    assert found(entries, [one, two, three, structs.replace(four, signature="!")]) == [(None, 4)]
    another = ec.generate_private_key(ec.SECP256R1()).public_key()
    (finding,) = check(list(entries.values()), seals, keys=[another]).findings
    assert "no seal is signed by this key" in finding.detail
    (finding,) = check([], []).findings
    assert "there is no seal" in finding.detail
    assert found(entries, [one], known=seals)[0] == (None, 2)


@pytest.mark.parametrize("place", [0, 1, 12])
def test_a_number_that_occurs_twice_is_refused(place: int) -> None:
    """Before the genuine one, behind it, and at the end, where also the order is wrong."""
    entries, seals = trail()
    lines = list(entries.values())
    lines.insert(place, {"seq": 3, "at": 0.0, "actor": "eve"})
    assert {finding.entry for finding in check(lines, seals).findings} == {3}


def test_lines_in_another_order_are_one_finding() -> None:
    entries, seals = trail()
    lines = list(entries.values())
    lines[1], lines[2] = lines[2], lines[1]
    (finding,) = check(lines, seals).findings
    assert (finding.entry, "the order was changed" in finding.detail) == (6, True)


def test_an_entry_without_a_seal_that_is_older_than_the_newest_seal_was_added() -> None:
    """However high its number is; so was one without a time."""
    entries, seals = trail()
    added: Entries = {100: {"seq": 100, "at": -86_400.0}, 101: {"seq": 101}, 102: {"seq": 102, "at": 13.0}}
    assert found(entries | added, seals) == [(100, None)]
    assert check([*entries.values(), *added.values()], seals).findings[0].last_entry == 101


def test_a_long_end_without_seals_is_refused() -> None:
    """By its time, and by its length."""
    entries, seals = trail()
    assert found(entries | {100: {"seq": 100, "at": 90.0}}, seals) == [(None, 3)]
    many = {n: {"seq": n, "at": 13.0} for n in range(100, 101 + TAIL_ENTRIES)}
    assert found(entries | many, seals) == [(None, 3)]


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


def restored_trail() -> tuple[Entries, list[Seal], list[Seal]]:
    """Returns the trail after a restore of a backup that ends with seal 2, and the seals from before it."""
    entries, seals = trail()
    told = {"backup_made_at": 8.0, "sha256": "ab", "last_seal": 2, "replaced_seal": 3}
    entry = {"seq": 27, "at": 20.0, "actor": "ada@host", "kind": "BackupRestored", "detail": told}
    left = {number: entry for number, entry in entries.items() if number <= 24} | {27: entry}
    return left, [*seals[:2], make_seal({27: entry}, seals[1], at=21.0, key=KEY)], seals


def test_a_fork_by_a_restored_backup_is_told() -> None:
    """Without older seals, too: what was sealed in between is gone, and the trail says so."""
    entries, seals, known = restored_trail()
    result = check(list(entries.values()), seals)
    assert result.findings == ()
    (told,) = result.restorations
    assert (told.entry, told.actor, told.last_seal, told.replaced_seal) == (27, "ada@host", 2, 3)

    (finding,) = check(list(entries.values()), seals, known=known).findings
    assert finding.seal == 3
    assert finding.detail.endswith("; entry 27 says that a backup which ends with seal 2 was restored")


def test_a_restore_explains_no_other_fork() -> None:
    """Nor does an entry that nobody has sealed, or that was edited afterwards."""
    entries, seals, known = restored_trail()
    (finding,) = check(list(entries.values()), seals, known=trail()[1][:2]).findings
    assert "restored" not in finding.detail, "seal 1 is older than the backup"
    entries[27]["detail"]["last_seal"] = 0
    result = check(list(entries.values()), seals, known=known)
    assert result.restorations == ()
    assert [finding.detail for finding in result.findings if "restored" in finding.detail] == []


def sealed_by(*keys: ec.EllipticCurvePrivateKey) -> tuple[Entries, list[Seal]]:
    """Returns audit entries with a seal by each of the keys, in their order."""
    entries, _ = trail(count=4 * len(keys))
    seals: list[Seal] = []
    for index, key in enumerate(keys):
        part = {number: entries[number] for number in sorted(entries)[4 * index : 4 * index + 4]}
        seals.append(make_seal(part, seals[-1] if seals else None, at=4.0 * (index + 1), key=key))
    return entries, seals


def test_a_trail_whose_key_was_exchanged_is_verified_with_both() -> None:
    """A key that must be exchanged once is no reason to lose the trail before it."""
    new = ec.generate_private_key(ec.SECP256R1())
    entries, seals = sealed_by(KEY, KEY, new, new)
    assert found(entries, seals, keys=[PUBLIC, new.public_key()]) == []
    entries[3]["actor"], entries[36]["actor"] = "eve", "eve"
    assert found(entries, seals, keys=[PUBLIC, new.public_key()]) == [(3, 1), (36, 3)]
    assert found(entries, seals, keys=[PUBLIC]) == [(None, 3), (None, 4), (3, 1)]


def test_a_seal_by_a_key_that_was_replaced_before_is_found() -> None:
    """A stolen key is exchanged: whoever has it still must not be able to go on sealing with it."""
    new = ec.generate_private_key(ec.SECP256R1())
    entries, seals = sealed_by(KEY, new, KEY)
    (finding,) = check(list(entries.values()), seals, keys=[PUBLIC, new.public_key()]).findings
    assert (finding.seal, finding.detail) == (3, "is signed by key 1, which was replaced before")
