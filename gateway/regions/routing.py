"""Routing revisions: how new work is spread over the regions, as one document that is replaced as a whole.

Performs no I/O. A revision's content never changes. What operators set on single regions (`cordon`, `forget`)
is kept apart: no revision, and no rollback of one, undoes it.
"""

import hashlib
import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct, structs

from waypost.json_pointer import FieldError, below

REVISIONS_KEPT: Final = 50
"""The number of routing revisions that are kept, beside the one in force and the last good one."""
REGIONS_MAXIMUM: Final = 200


class RegionRouting(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The part of a routing revision about one region: its weight, and whether it is closed or avoided."""

    weight: Annotated[float, Meta(gt=0, le=1_000)] | None = None
    """The region's share of new work relative to other regions; None: as in the gateway's settings."""
    cordon: bool = False
    """Whether the region gets no new work. Running work finishes."""
    avoid: bool = False
    """Whether the region gets new work only where no other region fits."""


UNROUTED: Final = RegionRouting()
"""The routing of a region without an entry in the revision in force: as in the gateway's settings."""


class RoutingDocument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A routing revision as it is sent: regions by name. A region without an entry is as in the settings."""

    regions: Annotated[dict[str, RegionRouting], Meta(max_length=REGIONS_MAXIMUM)]


class RoutingState(StrEnum):
    """The state of a routing revision: in force, replaced by a newer one, or rolled back."""

    ACTIVE = "Active"
    """New work is placed by the revision."""
    SUPERSEDED = "Superseded"
    """The revision was in force until a newer one was applied."""
    ROLLED_BACK = "RolledBack"
    """The revision was rolled back for good: a new one with the same content is refused."""


class RoutingRevision(Struct, frozen=True, kw_only=True):
    """One routing revision: its number, content and state, and who made it. Times: seconds since 1970."""

    number: int
    digest: str
    """The SHA-256 of the content, in hexadecimal."""
    regions: dict[str, RegionRouting]
    state: RoutingState
    applied_by: str
    applied_at: float
    changed_by: str
    changed_at: float
    reason: str = ""
    """The reason of the last change, where the gateway made it by itself; empty where a person did."""


class RoutingRefused(Exception):
    """Raised for a change of the routing that the states of its revisions do not permit."""


class Routing(Struct, frozen=True, kw_only=True):
    """All routing revisions of a gateway, oldest first. `rev` rises with each change."""

    rev: int = 0
    revisions: tuple[RoutingRevision, ...] = ()

    def revision(self, number: int) -> RoutingRevision | None:
        return next((one for one in self.revisions if one.number == number), None)

    @property
    def active(self) -> RoutingRevision | None:
        """The revision in force; None where the settings alone count."""
        return next((one for one in self.revisions if one.state is RoutingState.ACTIVE), None)

    @property
    def returns_to(self) -> RoutingRevision | None:
        """The revision in force after a rollback of the active one; None: then the settings alone count.

        An older revision with the active one's content, or with content that was rolled back, is no way out.
        """
        active = "" if self.active is None else self.active.digest
        before = (
            one
            for one in self.revisions
            if one.state is RoutingState.SUPERSEDED and one.digest != active and not self.refusal(one.digest)
        )
        return max(before, key=lambda one: (one.changed_at, one.number), default=None)

    @property
    def restored(self) -> bool:
        """Whether the active revision is in force because a newer one was rolled back."""
        # One change has moved both, at one time.
        return self.active is not None and any(
            one.state is RoutingState.ROLLED_BACK and one.changed_at == self.active.changed_at
            for one in self.revisions
        )

    def refusal(self, digest: str) -> str:
        """Returns why content is not applied again: it was rolled back. Empty for other content."""
        found = (
            one.number
            for one in self.revisions
            if one.digest == digest and one.state is RoutingState.ROLLED_BACK
        )
        number = next(found, None)
        return "" if number is None else f"revision {number} has this content, and was rolled back"


def routing_errors(document: RoutingDocument, known: Iterable[str]) -> list[FieldError]:
    """Returns what is wrong with a routing document beyond its types: unknown regions, or none left open.

    `known` are the names of the regions in the settings.
    """
    names = frozenset(known)
    there = f"there is no such region; there are {', '.join(sorted(names)) or 'none'}"
    errors = [FieldError(below("/regions", name), there) for name in document.regions if name not in names]
    if names and all(document.regions.get(name, UNROUTED).cordon for name in names):
        errors.append(FieldError("/regions", "cordons every region: no new work would run anywhere"))
    return errors


def after_apply(routing: Routing, document: RoutingDocument, *, by: str, at: float) -> Routing:
    """Returns the routing with a new revision in force; unchanged if the one in force has this content.

    Raises `RoutingRefused` for content that was rolled back.
    """
    digest = hashlib.sha256(msgspec.json.encode(document, order="sorted")).hexdigest()
    if refusal := routing.refusal(digest):
        raise RoutingRefused(refusal)
    if routing.active is not None and routing.active.digest == digest:
        return routing
    at = _in_order(routing, at)
    revision = RoutingRevision(
        number=routing.revisions[-1].number + 1 if routing.revisions else 1,
        digest=digest,
        regions=document.regions,
        state=RoutingState.ACTIVE,
        applied_by=by,
        applied_at=at,
        changed_by=by,
        changed_at=at,
    )
    before = tuple(
        structs.replace(one, state=RoutingState.SUPERSEDED, changed_by=by, changed_at=at, reason="")
        if one.state is RoutingState.ACTIVE
        else one
        for one in routing.revisions
    )
    return _kept(structs.replace(routing, rev=routing.rev + 1, revisions=(*before, revision)))


def after_rollback(routing: Routing, number: int, *, by: str, at: float, reason: str = "") -> Routing:
    """Returns the routing without the revision `number`, which must be in force: the one before counts again.

    Where there is no good one before it, no revision is in force. Raises `RoutingRefused` for one that is not
    in force.
    """
    revision = routing.revision(number)
    if revision is None or revision.state is not RoutingState.ACTIVE:
        state = "not there" if revision is None else revision.state
        raise RoutingRefused(f"revision {number} is {state}: only the one in force can be rolled back")
    good, at = routing.returns_to, _in_order(routing, at)
    states = {number: RoutingState.ROLLED_BACK}
    if good is not None:
        states[good.number] = RoutingState.ACTIVE
    return structs.replace(
        routing,
        rev=routing.rev + 1,
        revisions=tuple(
            structs.replace(
                one,
                state=states[one.number],
                changed_by=by,
                changed_at=at,
                reason=reason if one is revision else "",
            )
            if one.number in states
            else one
            for one in routing.revisions
        ),
    )


def _in_order(routing: Routing, at: float) -> float:
    # The order of changes is that of their times, also where the clock was set back meanwhile.
    newest = max((one.changed_at for one in routing.revisions), default=-math.inf)
    return max(at, math.nextafter(newest, math.inf))


def _kept(routing: Routing) -> Routing:
    # Without the last good one a bad revision could not be rolled back.
    good, newest = routing.returns_to, routing.revisions[-1].number
    kept = tuple(
        one
        for one in routing.revisions
        if one.state is RoutingState.ACTIVE or one is good or one.number > newest - REVISIONS_KEPT
    )
    return structs.replace(routing, revisions=kept)
