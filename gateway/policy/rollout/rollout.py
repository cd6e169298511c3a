"""The rollout of a running gateway: takes uploads and steps, writes them, and changes what decides."""

import asyncio
import hashlib
from typing import Final, Self

from loguru import logger
from msgspec import Struct

from gateway.core.errors import Conflict, Invalid, PreconditionFailed, Unavailable
from gateway.core.history import HistoryEntry, HistoryKind, PolicyDetail
from gateway.policy.bundle import BundleError, Diagnostic
from gateway.policy.opa.bundle_archive import ArchiveError
from gateway.policy.rollout.bundle_engines import BundleEngines
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
from gateway.policy.rollout.interface import KeepsRollout
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


class BundleRollout:
    """All bundles of a gateway. `async with` lets the one decide that the store says is active.

    Raises `BundleError` where that cannot be evaluated: rules that are in force are never passed over.
    """

    def __init__(
        self, store: KeepsRollout, gate: BundleGate, engines: BundleEngines, chosen: ChosenEngine
    ) -> None:
        self._store, self._gate, self._engines, self._chosen = store, gate, engines, chosen
        self._one_step = asyncio.Lock()
        self.current = Rollout()

    def __repr__(self) -> str:
        active = self.current.active
        return f"<BundleRollout {self.current.generation}, active {active and active.sequence}>"

    async def __aenter__(self) -> Self:
        self.current = await self._store.rollout()
        if (active := self.current.active) is not None:
            bundle = await self._bundle(active)
            self._chosen.activate(await self._engines.deciding(bundle))
            self._engines.serve(bundle)
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

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

        Raises `PreconditionFailed` where it is not, `Conflict` where the step is not possible now.
        """
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
            await self._change(following, step, sequence, act)
        release = following.release(sequence)
        assert release is not None
        return release

    async def _change(self, following: Rollout, step: Step, sequence: int, act: Act) -> None:
        """Makes what is to decide, commits the step, then lets it decide: nothing is half done."""
        before, active = self.current.active, following.active
        engine, bundle = None, None
        if active != before:
            bundle = None if active is None else await self._bundle(active)
            try:
                engine = await self._engines.deciding(bundle)
            except BundleError as error:
                raise _invalid(error) from error
        release = following.release(sequence)
        assert release is not None
        decides = active.sequence if active is not None and step is Step.ROLL_BACK and engine else None
        try:
            await self._write(following, _entry(KINDS[step], release, act, decides=decides))
        except BaseException:
            if engine is not None:
                self._chosen.discard(engine)
            raise
        if engine is not None:
            self._chosen.activate(engine)
        if bundle is not None:
            self._engines.serve(bundle)

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
