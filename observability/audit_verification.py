"""Verifies an audit trail by its seals (signed digests): finds entries and seals changed or missing.

Pure.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

from observability.audit import FIRST, Seal, digest_of, is_signed, seal_digest
from observability.audit_of_trail import (
    ArchivedPart,
    Restoration,
    about_the_trail,
    archived_part,
    restorations_of,
)

TAIL_SECONDS: Final = 60.0
"""The most seconds after the newest seal that an unsealed entry may have: far more than sealing takes."""
TAIL_ENTRIES: Final = 1_000
"""The most entries at the end of the trail that may have no seal yet."""


class Finding(Struct, frozen=True, kw_only=True):
    """One fault of an audit trail: the entry or seal where it is, and what is wrong.

    Without entry and seal it is about the whole trail.
    """

    entry: int | None = None
    """The number of the faulty entry."""
    last_entry: int | None = None
    """The number of the last entry, where the finding is about several consecutive ones."""
    seal: int | None = None
    """The number of the seal that the finding is about, or that covers the entry."""
    detail: str


class Verification(Struct, frozen=True, kw_only=True):
    """The result of verifying an audit trail. Without findings, all sealed entries are unchanged."""

    findings: tuple[Finding, ...]
    sealed: int
    """The number of entries that seals cover."""
    unsealed: int
    """The number of entries behind the newest seal without a finding: nothing shows that they are genuine."""
    restorations: tuple[Restoration, ...] = ()
    """The restores of the store that sealed entries record: each is a fork, with entries that are lost."""
    archived: ArchivedPart | None = None
    """The part before the first seal, in an archive, which was not verified; None: nothing is before it."""


def verify(
    entries: Sequence[Mapping[str, Any]],
    seals: Sequence[Seal],
    *,
    keys: Sequence[ec.EllipticCurvePublicKey],
    known: Iterable[Seal] = (),
) -> Verification:
    """Verifies an audit trail by its seals: their signatures, their chain, the digests, gaps and order.

    Returns every fault as a finding. `entries` have their number as `seq`; entries and seals are expected in
    the order of their numbers. `keys` are the public keys of the seals, in the order in which they were used:
    where the gateway's key was exchanged, all that it had. `known` are seals that were kept elsewhere, such
    as those of an older export: without them a trail whose end was cut off, seals and all, looks whole.
    """
    in_order = tuple({seal.number: seal for seal in sorted(seals, key=lambda seal: seal.number)}.values())
    unsigned = dict(_unsigned(in_order, keys))
    under = {number: (seal, digest) for seal in in_order for number, digest in seal.entries}
    by_number = {entry["seq"]: entry for entry in entries}
    about = about_the_trail(by_number, under, unsigned)
    restorations, archived = tuple(restorations_of(about)), archived_part(about, in_order)
    head = 0 if archived is None else archived.last_seal
    bare = {number: entry for number, entry in sorted(by_number.items()) if number not in under}
    tail, added = _without_seal(bare, in_order, head)
    findings = [
        *_order("seal", [seal.number for seal in seals]),
        *_chain(in_order, by_number, unsigned, archived),
        *_against_known(in_order, known, restorations, archived),
        *_order("entry", [entry["seq"] for entry in entries]),
        # A seal that nobody has signed says nothing about what is under it.
        *_digests(by_number, {n: found for n, found in under.items() if found[0].number not in unsigned}),
        *added,
    ]
    return Verification(
        findings=tuple(findings),
        sealed=len(under),
        unsealed=tail,
        restorations=restorations,
        archived=archived,
    )


def _unsigned(seals: Sequence[Seal], keys: Sequence[ec.EllipticCurvePublicKey]) -> Iterator[tuple[int, str]]:
    """Finds audit seals that no key, or only one that was replaced before, has signed: (number, why)."""
    in_use = 0
    for seal in seals:
        # The key in use first: a seal costs one verification, but for those where the key was exchanged.
        order = (*range(in_use, len(keys)), *range(in_use))
        signer = next((index for index in order if is_signed(seal, keys[index])), None)
        if signer is None:
            which = "this key" if len(keys) == 1 else "any of these keys"
            yield seal.number, f"is not signed by {which}: edited or forged"
        elif signer < in_use:
            # The holder of an old key, which may have been stolen, could seal what they like.
            yield seal.number, f"is signed by key {signer + 1}, which was replaced before"
        else:
            in_use = signer


def _order(what: str, numbers: Sequence[int]) -> Iterator[Finding]:
    """Finds numbers (of audit entries or seals) that occur twice, or that stand behind a higher one.

    All numbers out of order make one finding.
    """
    for number, times in sorted(Counter(numbers).items()):
        if times > 1:
            yield Finding(**{what: number}, detail=f"occurs {times} times: one of them at most is genuine")
    backward = [(before, after) for before, after in pairwise(numbers) if after < before]
    for before, after in backward[:1]:
        more = f" (and so in {len(backward) - 1} other places)" if backward[1:] else ""
        yield Finding(**{what: after}, detail=f"stands behind {before}: the order was changed{more}")


def _chain(
    seals: Sequence[Seal],
    entries: Iterable[int],
    unsigned: Mapping[int, str],
    archived: ArchivedPart | None,
) -> Iterator[Finding]:
    """Finds faults in the sequence of audit seals: bad signatures, gaps, wrong links to the seal before."""
    if not seals:
        yield Finding(detail="there is no seal: nothing shows that this is the trail, or all of it")
        return
    if len(unsigned) == len(seals):
        yield Finding(detail="no seal is signed by this key: it is another key, or all seals are forged")
        return
    for number, why in sorted(unsigned.items()):
        yield Finding(seal=number, detail=why)
    for before, seal in _pairs(seals):
        if before is None and archived is not None:
            continue  # that it follows the archived part is what `archived` says
        if _is_gap(before, seal):
            first, last = 1 if before is None else before.number + 1, seal.number - 1
            which = f"seal {first} is" if first == last else f"seals {first} to {last} are"
            bare = sum(number in _between(before, seal) for number in entries)
            detail = f"follows a gap: {which} missing; entries there without a seal: {bare}"
            yield Finding(seal=seal.number, detail=detail)
        elif seal.number in unsigned or (before is not None and before.number in unsigned):
            # It is named already; the next one, which is chained to the genuine seal, is right.
            continue
        elif seal.before != (FIRST if before is None else seal_digest(before)):
            detail = "does not follow the seal before it: that one was replaced, or the trail is forked"
            yield Finding(seal=seal.number, detail=detail)


def _against_known(
    seals: Sequence[Seal],
    known: Iterable[Seal],
    restorations: Sequence[Restoration],
    archived: ArchivedPart | None,
) -> Iterator[Finding]:
    """Finds audit seals that are missing or differ, compared with copies that were kept elsewhere.

    Makes one finding for those missing, and one for those that differ. Each names the restore of the store
    that explains it, if an entry records one.
    """
    by_number = {seal.number: seal for seal in seals}
    kept = sorted(known, key=lambda seal: seal.number)
    head = 0 if archived is None else archived.last_seal
    gone = [seal.number for seal in kept if seal.number > head and seal.number not in by_number]
    other = [seal.number for seal in kept if by_number.get(seal.number, seal) != seal]
    # Of the archived part only the digest of its last seal is at hand.
    other[:0] = [
        seal.number
        for seal in kept
        if archived and seal.number == head and seal_digest(seal) != archived.last_seal_digest
    ]
    if gone:
        detail = f"was kept elsewhere and is gone{_others(gone)}: the end was cut off, or seals were deleted"
        detail += _explained(gone[0], restorations)
        yield Finding(seal=gone[0], detail=detail)
    if other:
        detail = f"is another than the one kept elsewhere{_others(other)}: the trail is forked"
        detail += _explained(other[0], restorations)
        yield Finding(seal=other[0], detail=detail)


def _explained(seal: int, restorations: Sequence[Restoration]) -> str:
    """Returns the part of a finding that names the restore by which the seal `seal` was lost; or nothing."""
    for told in restorations:
        if told.last_seal < seal and (told.replaced_seal is None or seal <= told.replaced_seal):
            return (
                f"; entry {told.entry} says that a backup which ends with seal {told.last_seal} was restored"
            )
    return ""


def _digests(
    entries: Mapping[int, Mapping[str, Any]], under: Mapping[int, tuple[Seal, str]]
) -> Iterator[Finding]:
    def change(number: int) -> str:
        if number not in entries:
            return "deleted"
        return "" if digest_of(entries[number]) == under[number][1] else "edited"

    for done, numbers in _grouped_by_fault(sorted(under), change):
        yield _about(numbers, done, seal=under[numbers[0]][0].number)


def _without_seal(
    unsealed: Mapping[int, Mapping[str, Any]], seals: Sequence[Seal], head: int
) -> tuple[int, Sequence[Finding]]:
    """Finds audit entries without a seal (signed digest) that are too old, or too many, to be without one.

    Only the last entries may lack one: at most `TAIL_ENTRIES`, of the `TAIL_SECONDS` after the newest seal.
    Their number is returned too. Seals up to the number `head` are in an archive.
    """
    if not seals:
        return 0, ()
    newest = seals[-1]
    last = newest.entries[-1][0] if newest.entries else 0
    # What missing seals were over is named with them, once.
    gaps = [
        _between(before, seal)
        for before, seal in _pairs(seals)
        if _is_gap(before, seal) and seal.number != head + 1
    ]
    tail = []

    def fault(number: int) -> str:
        at = unsealed[number].get("at")
        if number < last:
            return "" if any(number in gap for gap in gaps) else "added behind what was sealed"
        if not isinstance(at, float) or at < newest.at - TAIL_SECONDS:
            return f"added: seal {newest.number} or one before it would be over what is as old"
        tail.append(at - newest.at)
        return ""

    found = [_about(numbers, done) for done, numbers in _grouped_by_fault(sorted(unsealed), fault)]
    if len(tail) > TAIL_ENTRIES or max(tail, default=0.0) > TAIL_SECONDS:
        detail = f"is the newest, and {len(tail)} entries of {max(tail):.0f} s after it have none"
        detail = f"{detail}: they were added, or sealing has stopped"
        return 0, (*found, Finding(seal=newest.number, detail=detail))
    return len(tail), found


def _grouped_by_fault(numbers: Iterable[int], fault: Callable[[int], str]) -> Iterator[tuple[str, list[int]]]:
    """Groups neighboring numbers that have the same fault, as (fault, numbers); omits those without fault."""
    return ((done, list(some)) for done, some in groupby(numbers, key=fault) if done)


def _about(numbers: Sequence[int], done: str, *, seal: int | None = None) -> Finding:
    if not numbers[1:]:
        return Finding(entry=numbers[0], seal=seal, detail=f"was {done}")
    return Finding(entry=numbers[0], last_entry=numbers[-1], seal=seal, detail=f"were {done}")


def _pairs(seals: Sequence[Seal]) -> Iterator[tuple[Seal | None, Seal]]:
    """Yields each audit seal together with the seal before it; None before the first."""
    return zip((None, *seals[:-1]), seals, strict=True)


def _is_gap(before: Seal | None, seal: Seal) -> bool:
    return seal.number != (1 if before is None else before.number + 1)


def _between(before: Seal | None, seal: Seal) -> range:
    """Returns the range of numbers that audit entries missing between two seals can have."""
    first = before.entries[-1][0] + 1 if before is not None and before.entries else 0
    return range(first, seal.entries[0][0] if seal.entries else first)


def _others(numbers: Sequence[int]) -> str:
    return f", and {len(numbers) - 1} others up to seal {numbers[-1]}" if numbers[1:] else ""
