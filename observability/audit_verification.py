"""Verifies an audit trail by its seals: finds entries and seals edited, deleted, added or reordered.

Pure.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

from observability.audit import FIRST, Seal, digest_of, is_signed, seal_digest

TAIL_SECONDS: Final = 60.0
"""The most seconds after the newest seal that an unsealed entry may have: far more than sealing takes."""
TAIL_ENTRIES: Final = 1_000
"""The most entries at the end of the trail that may have no seal yet."""


class Finding(Struct, frozen=True, kw_only=True):
    """One fault of an audit trail: where it is, and what. Without entry and seal it concerns the whole."""

    entry: int | None = None
    """The number of the faulty entry."""
    seal: int | None = None
    """The number of the seal that the finding is about, or that covers the entry."""
    detail: str


class Verification(Struct, frozen=True, kw_only=True):
    """The result of verifying an audit trail. Without findings, all sealed entries are unchanged."""

    findings: tuple[Finding, ...]
    sealed: int
    """The number of entries that seals cover."""
    unsealed: int
    """The number of entries that no seal covers yet: nothing shows that these are genuine."""


def verify(
    entries: Sequence[Mapping[str, Any]],
    seals: Sequence[Seal],
    *,
    key: ec.EllipticCurvePublicKey,
    known: Iterable[Seal] = (),
) -> Verification:
    """Verifies a trail: its entries, each with its number as `seq`, and its seals, in their given order.

    `known` are seals that were kept elsewhere, such as those of an earlier export: without them a trail whose
    end was cut off, seals and all, looks whole.
    """
    in_order = tuple({seal.number: seal for seal in sorted(seals, key=lambda seal: seal.number)}.values())
    under = {number: (seal, digest) for seal in in_order for number, digest in seal.entries}
    by_number = {entry["seq"]: entry for entry in entries}
    unsealed = {number: entry for number, entry in sorted(by_number.items()) if number not in under}
    findings = [
        *_order("seal", [seal.number for seal in seals]),
        *_chain(in_order, by_number, key),
        *_against_known(in_order, known),
        *_order("entry", [entry["seq"] for entry in entries]),
        *_digests(by_number, under),
        *_without_seal(unsealed, in_order),
    ]
    return Verification(findings=tuple(findings), sealed=len(under), unsealed=len(unsealed))


def _order(what: str, numbers: Sequence[int]) -> Iterator[Finding]:
    """Finds numbers that occur twice, and, in one finding, those that stand behind a higher number."""
    for number, times in sorted(Counter(numbers).items()):
        if times > 1:
            yield Finding(**{what: number}, detail=f"occurs {times} times: one of them at most is genuine")
    backward = [(before, after) for before, after in pairwise(numbers) if after < before]
    for before, after in backward[:1]:
        more = f" (and so in {len(backward) - 1} other places)" if backward[1:] else ""
        yield Finding(**{what: after}, detail=f"stands behind {before}: the order was changed{more}")


def _chain(
    seals: Sequence[Seal], entries: Iterable[int], key: ec.EllipticCurvePublicKey
) -> Iterator[Finding]:
    """Finds faults of the seals by themselves: signatures, gaps, and links to the seal before."""
    if not seals:
        yield Finding(detail="there is no seal: nothing shows that this is the trail, or all of it")
        return
    unsigned = [seal.number for seal in seals if not is_signed(seal, key)]
    if len(unsigned) == len(seals):
        yield Finding(detail="no seal is signed by this key: it is another key, or all seals are forged")
        unsigned = []
    for number in unsigned:
        yield Finding(seal=number, detail="is not signed by this key: edited or forged")
    for before, seal in _pairs(seals):
        if _is_gap(before, seal):
            first, last = 1 if before is None else before.number + 1, seal.number - 1
            which = f"seal {first} is" if first == last else f"seals {first} to {last} are"
            bare = sum(number in _between(before, seal) for number in entries)
            detail = f"follows a gap: {which} missing; entries there without a seal: {bare}"
            yield Finding(seal=seal.number, detail=detail)
        elif seal.before != (FIRST if before is None else seal_digest(before)):
            detail = "does not follow the seal before it: that one was replaced, or the trail is forked"
            yield Finding(seal=seal.number, detail=detail)


def _against_known(seals: Sequence[Seal], known: Iterable[Seal]) -> Iterator[Finding]:
    """Finds differences from seals that were kept elsewhere: one finding for each kind."""
    by_number = {seal.number: seal for seal in seals}
    kept = sorted(known, key=lambda seal: seal.number)
    gone = [seal.number for seal in kept if seal.number not in by_number]
    other = [seal.number for seal in kept if by_number.get(seal.number, seal) != seal]
    if gone:
        detail = f"was kept elsewhere and is gone{_others(gone)}: the end was cut off, or seals were deleted"
        yield Finding(seal=gone[0], detail=detail)
    if other:
        detail = f"is another than the one kept elsewhere{_others(other)}: the trail is forked"
        yield Finding(seal=other[0], detail=detail)


def _digests(
    entries: Mapping[int, Mapping[str, Any]], under: Mapping[int, tuple[Seal, str]]
) -> Iterator[Finding]:
    for number, (seal, digest) in sorted(under.items()):
        if number not in entries:
            yield Finding(entry=number, seal=seal.number, detail="was deleted")
        elif digest_of(entries[number]) != digest:
            yield Finding(entry=number, seal=seal.number, detail="was edited")


def _without_seal(unsealed: Mapping[int, Mapping[str, Any]], seals: Sequence[Seal]) -> Iterator[Finding]:
    """Finds entries that should have a seal and have none: all but a short tail behind the newest seal."""
    if not seals:
        return
    newest = seals[-1]
    last = newest.entries[-1][0] if newest.entries else 0
    # What missing seals were over is named with them, once.
    gaps = [_between(before, seal) for before, seal in _pairs(seals) if _is_gap(before, seal)]
    tail = []
    for number, entry in unsealed.items():
        at = entry.get("at")
        if number < last:
            if not any(number in gap for gap in gaps):
                yield Finding(entry=number, detail="was added behind what was sealed")
        elif not isinstance(at, int | float) or at < newest.at - TAIL_SECONDS:
            detail = f"was added: by its time seal {newest.number} or one before would be over it"
            yield Finding(entry=number, detail=detail)
        else:
            tail.append(at - newest.at)
    if len(tail) > TAIL_ENTRIES or max(tail, default=0.0) > TAIL_SECONDS:
        detail = f"is the newest, and {len(tail)} entries of {max(tail):.0f} s after it have none"
        yield Finding(seal=newest.number, detail=f"{detail}: they were added, or sealing has stopped")


def _pairs(seals: Sequence[Seal]) -> Iterator[tuple[Seal | None, Seal]]:
    """Yields each seal with the one before it; None before the first."""
    return zip((None, *seals[:-1]), seals, strict=True)


def _is_gap(before: Seal | None, seal: Seal) -> bool:
    return seal.number != (1 if before is None else before.number + 1)


def _between(before: Seal | None, seal: Seal) -> range:
    """Returns the numbers of the entries that could be between two seals."""
    first = before.entries[-1][0] + 1 if before is not None and before.entries else 0
    return range(first, seal.entries[0][0] if seal.entries else first)


def _others(numbers: Sequence[int]) -> str:
    return f", and {len(numbers) - 1} others up to seal {numbers[-1]}" if numbers[1:] else ""
