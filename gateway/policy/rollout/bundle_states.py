"""The state machine of a policy bundle, as a table: which event leads from which state to which.

Performs no I/O. The rollout is all bundles together, one value with one generation; the functions here
compute its next value for each change that people ask for. At most one bundle is active, and at most one more
is in shadow or canary.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct, structs

KEPT_MAXIMUM: Final = 20
"""The maximum number of bundles kept; an upload beyond it removes the oldest unused ones."""


class BundleState(StrEnum):
    """The states of a policy bundle in a rollout, from upload to rollback."""

    GATED = "Gated"
    """The bundle passed its checks (signature and rules). It decides nothing."""
    SHADOW = "Shadow"
    """The bundle is evaluated on the questions that are decided; its answers are only compared."""
    CANARY = "Canary"
    """The bundle decides for some tenants."""
    ACTIVE = "Active"
    """The bundle decides for everybody else."""
    SUPERSEDED = "Superseded"
    """The bundle was active until a newer one was activated: a rollback returns to it."""
    ROLLED_BACK = "RolledBack"
    """The bundle was rolled back, and is never used again."""


class BundleEvent(StrEnum):
    """The events that change a policy bundle's state, on request or because another bundle changes."""

    SHADOWED = "Shadowed"
    CANARIED = "Canaried"
    ACTIVATED = "Activated"
    SUPERSEDED = "Superseded"
    ROLLED_BACK = "RolledBack"
    RESTORED = "Restored"


class Rule(Struct, frozen=True):
    """One row of the bundle state table: in the states `before`, `event` leads to the state `after`."""

    event: BundleEvent
    before: frozenset[BundleState]
    after: BundleState
    when: str


_CANDIDATE: Final = frozenset({BundleState.SHADOW, BundleState.CANARY})
_WAITING: Final = _CANDIDATE | {BundleState.GATED}
_ACTIVE: Final = frozenset({BundleState.ACTIVE})

RULES: Final[Sequence[Rule]] = (
    Rule(BundleEvent.SHADOWED, _WAITING, BundleState.SHADOW,
         "it is newer than the active one, and no other is tried out"),
    Rule(BundleEvent.CANARIED, _WAITING, BundleState.CANARY,
         "the same; in canary: for other tenants than before"),
    Rule(BundleEvent.ACTIVATED, _WAITING, BundleState.ACTIVE,
         "the same; it need not have been tried out"),
    Rule(BundleEvent.SUPERSEDED, _ACTIVE, BundleState.SUPERSEDED, "another one is activated"),
    Rule(BundleEvent.ROLLED_BACK, _WAITING | _ACTIVE, BundleState.ROLLED_BACK,
         "somebody takes it back; of the active one only if there is something to return to"),
    Rule(BundleEvent.RESTORED, frozenset({BundleState.SUPERSEDED}), BundleState.ACTIVE,
         "the active one is rolled back, and this is the newest that was active before"),
)  # fmt: skip

TRANSITIONS: Final[Mapping[tuple[BundleState, BundleEvent], BundleState]] = {
    (state, rule.event): rule.after for rule in RULES for state in BundleState if state in rule.before
}


class Step(StrEnum):
    """The rollout changes (activate, canary, ...) that people can ask for, as named in the API's paths."""

    SHADOW = "shadow"
    CANARY = "canary"
    ACTIVATE = "activate"
    ROLL_BACK = "rollback"


STEPS: Final[Mapping[Step, BundleEvent]] = {
    Step.SHADOW: BundleEvent.SHADOWED,
    Step.CANARY: BundleEvent.CANARIED,
    Step.ACTIVATE: BundleEvent.ACTIVATED,
    Step.ROLL_BACK: BundleEvent.ROLLED_BACK,
}
"""The event of the bundle that each rollout step causes."""


TenantName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]


class Share(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tenants of a canary: those that are named, and a percentage of all others."""

    tenants: Annotated[tuple[TenantName, ...], Meta(max_length=500)] = ()
    percent: Annotated[float, Meta(ge=0, le=100)] = 0.0


NOBODY: Final = Share()


class Release(Struct, frozen=True, kw_only=True):
    """An uploaded policy bundle with its state in the rollout. Times are in seconds since 1970."""

    sequence: int
    revision: str
    digest: str
    """The SHA-256 of the bundle's archive, in hexadecimal digits."""
    engine: str = ""
    """The only engine that can evaluate the bundle: `opa`; empty for any."""
    uploaded_by: str
    uploaded_at: float
    state: BundleState = BundleState.GATED
    changed_by: str
    changed_at: float
    share: Share = NOBODY
    """The tenants for whom a bundle in canary decides."""


class PendingStep(Struct, frozen=True, kw_only=True):
    """A rollout change (activate, canary, ...) that waits for the approval of other people."""

    step: Step
    sequence: int
    share: Share = NOBODY
    asked_by: str
    asked_at: float
    expires_at: float
    approvals: int
    """The number of people who must approve the step, beside the requester."""
    approved_by: tuple[str, ...] = ()


class StepRefused(Exception):
    """Raised if the state of the rollout does not allow a requested change. The text says why."""


class Rollout(Struct, frozen=True, kw_only=True):
    """All policy bundles of a gateway with their states, by rising sequence number.

    Each change makes the next `generation`.
    """

    generation: int = 0
    releases: tuple[Release, ...] = ()
    pending: PendingStep | None = None
    """The rollout step that waits for approval; any step that is carried out ends it."""
    approvals_kept: int = 0
    """The number of people who must approve the next canary or activation, whatever the rules in force say.

    Since a rollback: what it took back asked for so many. An activation ends it.
    """

    @property
    def active(self) -> Release | None:
        """Returns the active bundle; None if the gateway decides by the policy that it was started with."""
        return self._in_state(BundleState.ACTIVE)

    @property
    def candidate(self) -> Release | None:
        """Returns the bundle in shadow or canary; None if there is none."""
        return self._in_state(BundleState.SHADOW) or self._in_state(BundleState.CANARY)

    @property
    def newest(self) -> int:
        """Returns the highest sequence number of all bundles; -1 without a bundle."""
        return self.releases[-1].sequence if self.releases else -1

    def release(self, sequence: int) -> Release | None:
        """Returns the bundle with this sequence number; None if there is none."""
        return next((release for release in self.releases if release.sequence == sequence), None)

    def _in_state(self, state: BundleState) -> Release | None:
        return next((release for release in self.releases if release.state is state), None)


def rolled_back_before(rollout: Rollout, release: Release) -> tuple[int, ...]:
    """Returns the sequence numbers of the rolled-back bundles that have the rules and data of `release`.

    Empty for a bundle that was rolled back itself. Only bundles that are still kept count.
    """
    if release.state is BundleState.ROLLED_BACK:
        return ()
    return tuple(
        other.sequence
        for other in rollout.releases
        if other.state is BundleState.ROLLED_BACK and other.revision == release.revision
    )


def not_in_force(rollout: Rollout, deciding: str) -> str:
    """Returns a sentence if policy decides by another revision than the active bundle's; empty if not.

    `deciding` is the revision that decides: an OPA goes on with the bundle that it holds until it has taken
    the next.
    """
    active = rollout.active
    if active is None or not deciding or active.revision == deciding:
        return ""
    return (
        f"bundle {active.sequence} is active, and revision {deciding} decides: its engine has not"
        f" taken revision {active.revision} yet (/readyz?verbose has the reason)"
    )


def after_upload(rollout: Rollout, release: Release) -> Rollout:
    """Returns the rollout with a new bundle, and without the oldest unused ones beyond `KEPT_MAXIMUM`.

    Raises `StepRefused` unless the new bundle's sequence number is higher than all others.
    """
    if release.sequence <= rollout.newest:
        raise StepRefused(f"its sequence {release.sequence} is not newer than {rollout.newest}")
    releases = [*rollout.releases, release]
    used = {rollout.active, rollout.candidate, _newest_superseded(rollout)}
    while len(releases) > KEPT_MAXIMUM:
        releases.remove(next(old for old in releases if old not in used))
    return structs.replace(rollout, generation=rollout.generation + 1, releases=tuple(releases))


def after_step(
    rollout: Rollout,
    step: Step,
    sequence: int,
    *,
    by: str,
    at: float,
    share: Share = NOBODY,
    may_return: bool = True,
    approvals: int = 0,
) -> Rollout:
    """Returns the rollout after a change (activate, ...) of the bundle `sequence`.

    `may_return`: whether the gateway can decide without any bundle, by the policy that it was started with.
    `approvals`: at a rollback, how many approvals the bundle's rules ask for before an activation; the next
    activation needs as many, so that nobody escapes those rules by rolling them back.

    Raises `StepRefused` if there is no such bundle, or the states of the bundles do not allow the change.
    """
    release, active, candidate = rollout.release(sequence), rollout.active, rollout.candidate
    if release is None:
        raise StepRefused(f"there is no bundle {sequence}")
    if step is not Step.ROLL_BACK and release.state in _WAITING:
        if active is not None and sequence < active.sequence:
            raise StepRefused(f"bundle {sequence} is older than {active.sequence}, which is active")
        if candidate is not None and candidate is not release:
            raise StepRefused(
                f"bundle {candidate.sequence} is in {candidate.state}: activate it or roll it back first"
            )
    events = {sequence: STEPS[step]}
    if step is Step.ACTIVATE and active is not None and active is not release:
        events[active.sequence] = BundleEvent.SUPERSEDED
    if step is Step.ROLL_BACK and release is active:
        before = _newest_superseded(rollout)
        if before is not None:
            events[before.sequence] = BundleEvent.RESTORED
        elif not may_return:
            raise StepRefused(
                f"bundle {sequence} is the only one that was active: there is none to return to"
            )
    releases = tuple(
        _moved(one, events[one.sequence], share=share, by=by, at=at) if one.sequence in events else one
        for one in rollout.releases
    )
    # Else one person could roll back the rule that asks for a second one, and then activate anything.
    kept = 0 if step is Step.ACTIVATE else max(rollout.approvals_kept, approvals)
    return Rollout(generation=rollout.generation + 1, releases=releases, approvals_kept=kept)


def _moved(release: Release, event: BundleEvent, *, share: Share, by: str, at: float) -> Release:
    state = TRANSITIONS.get((release.state, event))
    if state is None:
        advice = ""
        if release.state is BundleState.ROLLED_BACK:
            advice = ". To release its rules again, build and upload them with a higher sequence"
        raise StepRefused(f"bundle {release.sequence} is {release.state}: it cannot be {event}{advice}")
    kept = share if state is BundleState.CANARY else NOBODY
    return structs.replace(release, state=state, changed_by=by, changed_at=at, share=kept)


def _newest_superseded(rollout: Rollout) -> Release | None:
    found = [release for release in rollout.releases if release.state is BundleState.SUPERSEDED]
    return found[-1] if found else None
