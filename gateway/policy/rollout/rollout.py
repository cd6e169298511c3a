"""The rollout of a running gateway: takes uploads and steps, writes them, and changes what decides."""

import asyncio
import hashlib
from typing import Final, Self

from loguru import logger
from msgspec import Struct

from gateway.core.decision import Action, Question
from gateway.core.errors import Conflict, Invalid, PreconditionFailed, Unavailable
from gateway.core.history import HistoryEntry, HistoryKind, PolicyDetail
from gateway.core.principal import Principal
from gateway.policy.bundle import OPA_ENGINE, BundleError, Diagnostic
from gateway.policy.enforcement import enforce
from gateway.policy.opa.bundle_archive import ArchiveError
from gateway.policy.rollout.bundle_engines import BundleEngines, embedded_engine
from gateway.policy.rollout.bundle_gate import BundleGate, GatedBundle
from gateway.policy.rollout.bundle_states import (
    NOBODY,
    Release,
    Rollout,
    Share,
    Step,
    StepRefused,
    after_step,
    after_upload,
)
from gateway.policy.rollout.chosen_engine import ChosenEngine
from gateway.policy.rollout.engine_changes import EngineChanges, MakeShadow, PreparedChange
from gateway.policy.rollout.interface import KeepsRollout
from gateway.policy.rollout.shadow import ShadowCounts
from waypost.json_pointer import FieldError

KINDS: Final = {
    Step.SHADOW: HistoryKind.POLICY_SHADOWED,
    Step.CANARY: HistoryKind.POLICY_CANARIED,
    Step.ACTIVATE: HistoryKind.POLICY_ACTIVATED,
    Step.ROLL_BACK: HistoryKind.POLICY_ROLLED_BACK,
}


class Act(Struct, frozen=True, kw_only=True):
    """Who asks for a step, when, and by which decision of policy they may."""

    by: str
    at: float
    decision_id: str
    principal: Principal | None = None
    """The caller; None: no person asks."""


class BundleRollout:
    """All bundles of a gateway. `async with` lets those decide that the store says do.

    Raises `BundleError` where one cannot be evaluated: rules that are in force are never passed over.
    """

    def __init__(
        self,
        store: KeepsRollout,
        gate: BundleGate,
        *,
        engines: BundleEngines,
        chosen: ChosenEngine,
        make_shadow: MakeShadow,
    ) -> None:
        self._store, self._gate, self._engines = store, gate, engines
        self._changes = EngineChanges(engines, chosen, read=self._bundle, make_shadow=make_shadow)
        self._one_step = asyncio.Lock()
        self.current = Rollout()

    def __repr__(self) -> str:
        active = self.current.active
        return f"<BundleRollout {self.current.generation}, active {active and active.sequence}>"

    async def __aenter__(self) -> Self:
        stored = await self._store.rollout()
        self._changes.apply(await self._changes.prepare(Rollout(), stored, wait=False))
        self.current = stored
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def shadow_counts(self, sequence: int) -> ShadowCounts | None:
        """What this bundle has answered in shadow, if it was the last one there in this process."""
        return self._changes.shadow_counts(sequence)

    async def upload(self, archive: bytes, act: Act) -> Release:
        """Takes a bundle, which then waits for the first step; one that is there already changes nothing.

        Raises `Invalid`, with everything that is wrong with it, or `Conflict` where it is not a newer one.
        """
        bundle = await self._checked(archive)
        manifest = bundle.manifest
        async with self._one_step:
            known = self.current.release(manifest.sequence)
            if known is not None and known.digest == bundle.digest:
                return known
            release = Release(
                sequence=manifest.sequence,
                revision=manifest.revision,
                digest=bundle.digest,
                engine=manifest.engine,
                uploaded_by=act.by,
                uploaded_at=act.at,
                changed_by=act.by,
                changed_at=act.at,
            )
            try:
                following = after_upload(self.current, release)
            except StepRefused as error:
                raise Conflict(str(error)) from error
            await self._write(following, _entry(HistoryKind.POLICY_UPLOADED, release, act), archive)
        return release

    async def take(
        self, step: Step, sequence: int, act: Act, *, expected: int, share: Share = NOBODY
    ) -> Release:
        """Takes a step with a bundle, if the rollout is still at the generation that was `expected`.

        Raises `PreconditionFailed` where it is not, `Conflict` where the step is not possible now, `Invalid`
        where nothing here can evaluate the bundle.
        """
        taken = asyncio.create_task(self._take(step, sequence, act, expected=expected, share=share))
        # A step that was begun is ended, also where nobody waits for it any more: else the store could have
        # another state than this gateway.
        return await asyncio.shield(taken)

    async def _take(self, step: Step, sequence: int, act: Act, *, expected: int, share: Share) -> Release:
        async with self._one_step:
            if expected != self.current.generation:
                raise PreconditionFailed(
                    f"it is about generation {expected}, and the rollout is at {self.current.generation}"
                )
            try:
                following = after_step(
                    self.current,
                    step,
                    sequence,
                    by=act.by,
                    at=act.at,
                    share=share,
                    may_return=self._engines.may_return,
                )
            except StepRefused as error:
                raise Conflict(str(error)) from error
            release = _of(following, sequence)
            if step is Step.ACTIVATE and act.principal is not None:
                await self._check_return(release, act.principal, act.at)
            change = await self._change(following, KINDS[step], release, act)
        await self._changes.wait_until_held(change)
        return release

    async def _change(
        self, following: Rollout, kind: HistoryKind, release: Release, act: Act
    ) -> PreparedChange:
        """Makes what is to decide, commits the step, then lets it decide: nothing is half done."""
        try:
            change = await self._changes.prepare(self.current, following)
        except BundleError as error:
            raise _invalid(error) from error
        active = following.active
        decides = active.sequence if active is not None and kind is HistoryKind.POLICY_ROLLED_BACK else None
        try:
            await self._write(following, _entry(kind, release, act, decides=decides))
        except BaseException:
            self._changes.discard(change)
            raise
        self._changes.apply(change)
        return change

    async def _check_return(self, release: Release, principal: Principal, at: float) -> None:
        """Raises `Conflict` where the bundle would not let its own activator take it back.

        Nobody could, if it is wrong. Of a bundle that only an OPA can evaluate it is not known.
        """
        bundle = await self._bundle(release)
        if bundle.manifest.engine == OPA_ENGINE:
            return
        engine = await embedded_engine(bundle)
        try:
            operation = {"operation": Step.ROLL_BACK.value, "sequence": release.sequence}
            question = Question(
                action=Action.POLICY_OPERATE, principal=principal, at=at, context={"policy": operation}
            )
            decision = enforce(await engine.decide(question), {})
        finally:
            await engine.__aexit__(None, None, None)
        if decision.allow is not True:
            reasons = decision.fault or "; ".join(reason.message for reason in decision.reasons)
            raise Conflict(f"by its own rules you could not roll it back: {reasons}")

    async def _write(self, following: Rollout, entry: HistoryEntry, archive: bytes | None = None) -> None:
        if not await self._store.write_rollout(following, entry=entry, archive=archive):
            raise Unavailable("the store has another rollout than this gateway")
        self.current = following
        detail = entry.detail
        assert isinstance(detail, PolicyDetail)
        logger.info(
            "{}: bundle {}, revision {}, by {}", entry.kind, detail.sequence, detail.revision, entry.actor
        )

    async def _checked(self, archive: bytes) -> GatedBundle:
        try:
            return await asyncio.to_thread(self._gate.check, archive)
        except ArchiveError as error:
            raise Invalid(f"the bundle is not taken: {error}") from error
        except BundleError as error:
            raise _invalid(error) from error

    async def _bundle(self, release: Release) -> GatedBundle:
        """The bundle as the store has it. Raises `BundleError` where that is not what was uploaded."""
        archive = await self._store.bundle_archive(release.sequence)
        if archive is None or hashlib.sha256(archive).hexdigest() != release.digest:
            detail = f"bundle {release.sequence} is damaged in the store"
            raise BundleError([Diagnostic(file="bundle", line=0, detail=detail)])
        return await asyncio.to_thread(self._gate.read, archive)


def _of(rollout: Rollout, sequence: int) -> Release:
    release = rollout.release(sequence)
    if release is None:
        raise Conflict(f"there is no bundle {sequence}")
    return release


def _entry(kind: HistoryKind, release: Release, act: Act, *, decides: int | None = None) -> HistoryEntry:
    detail = PolicyDetail(
        sequence=release.sequence,
        revision=release.revision,
        decision_id=act.decision_id,
        tenants=release.share.tenants,
        percent=release.share.percent,
        decides=decides,
    )
    return HistoryEntry(run="", kind=kind, at=act.at, actor=act.by, detail=detail)


def _invalid(error: BundleError) -> Invalid:
    errors = [FieldError("", str(diagnostic)) for diagnostic in error.diagnostics]
    return Invalid("the rules cannot be used", errors=errors)
