"""Carries out the rollout of policy bundles in a gateway: uploads, changes (activate, ...), approvals."""

import asyncio
import hashlib
from collections.abc import Coroutine
from typing import Any, Self

from loguru import logger

from gateway.core.approvals import ApprovalRefused, denied
from gateway.core.errors import Conflict, PreconditionFailed, Unavailable
from gateway.core.history import HistoryEntry, HistoryKind, PolicyDetail
from gateway.policy.bundle import OPA_ENGINE, Bundle
from gateway.policy.enforcement import enforce
from gateway.policy.rollout.acts import KINDS, Act, Taken, audit_entry, refusals, release_of, step_question
from gateway.policy.rollout.approvals import after_approval, after_request, approvals_needed
from gateway.policy.rollout.bundle_engines import BundleEngines, embedded_engine
from gateway.policy.rollout.bundle_gate import BundleGate, GatedBundle
from gateway.policy.rollout.bundle_states import (
    NOBODY,
    PendingStep,
    Release,
    Rollout,
    Share,
    Step,
    after_step,
    after_upload,
)
from gateway.policy.rollout.chosen_engine import ChosenEngine
from gateway.policy.rollout.engine_changes import EngineChanges, MakeShadow, PreparedChange
from gateway.policy.rollout.gate_process import invalid
from gateway.policy.rollout.interface import ChecksUploads, KeepsRollout
from gateway.policy.rollout.shadow import ShadowCounts
from gateway.policy.source import BundleError, Diagnostic


class BundleRollout:
    """Carries out the rollout of policy bundles: uploads, changes (activate, ...), approvals.

    `async with` puts the stored bundles in force. Raises `BundleError` where one cannot be evaluated: the
    gateway does not start without the rules in force.
    """

    def __init__(
        self,
        store: KeepsRollout,
        gate: BundleGate,
        *,
        uploads: ChecksUploads,
        engines: BundleEngines,
        chosen: ChosenEngine,
        make_shadow: MakeShadow,
        approval_seconds: float,
    ) -> None:
        self._store, self._gate, self._uploads, self._engines = store, gate, uploads, engines
        self._approval_seconds, self._chosen = approval_seconds, chosen
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

    @property
    def may_return(self) -> bool:
        """Returns whether a first bundle can be rolled back to the policy that the gateway started with."""
        return self._engines.may_return

    def shadow_counts(self, sequence: int) -> ShadowCounts | None:
        """Returns the comparison counts of a bundle in shadow; None unless it was this process's last one."""
        return self._changes.shadow_counts(sequence)

    async def deciding_bundles(self) -> tuple[Bundle, ...]:
        """Returns the bundles that decide now (active, canary); empty if only an OPA has the active one."""
        return await self._changes.deciding_bundles(self.current)

    async def upload(self, archive: bytes, act: Act) -> Release:
        """Checks an uploaded policy bundle and stores it in the state Gated; does nothing for a stored one.

        Raises `Invalid` with every problem of the bundle, `Conflict` where it is not newer than all others,
        and `Unavailable` where it cannot be checked or stored now.
        """
        digest = hashlib.sha256(archive).hexdigest()
        if (known := self._known(digest)) is not None:
            return known
        manifest = await self._uploads.check(archive)
        async with self._one_step:
            # It may have been uploaded twice at once.
            if (known := self._known(digest)) is not None:
                return known
            release = Release(
                sequence=manifest.sequence,
                revision=manifest.revision,
                digest=digest,
                engine=manifest.engine,
                uploaded_by=act.by,
                uploaded_at=act.at,
                changed_by=act.by,
                changed_at=act.at,
            )
            with refusals():
                following = after_upload(self.current, release)
            await self._write(following, audit_entry(HistoryKind.POLICY_UPLOADED, release, act), archive)
        return release

    async def take(
        self, step: Step, sequence: int, act: Act, *, expected: int, share: Share = NOBODY, wait: bool = True
    ) -> Taken:
        """Makes a rollout change (activate, ...) with a bundle, if the rollout is at generation `expected`.

        Where other people must approve the change, it is stored as pending instead. `wait`: the engine for it
        must have loaded the bundle; otherwise it may load it later. Raises `PreconditionFailed`, `Conflict`
        where the change is not possible now, `Invalid` where no engine here can evaluate the bundle,
        `Unavailable` where no OPA answers.
        """
        taking = self._take(step, sequence, act, expected=expected, share=share, wait=wait)
        return await self._to_its_end(taking, wait=wait)

    async def approve(self, sequence: int, act: Act, *, expected: int) -> Taken:
        """Approves the pending rollout change of a bundle; with the last approval needed, makes the change.

        Raises `Denied` for the requester, and for somebody who has approved it before; `PreconditionFailed`
        where the rollout is not at generation `expected`; `Conflict` where no change is pending, or it is
        not possible now; `Invalid` or `Unavailable` where no engine can evaluate the bundle.
        """
        return await self._to_its_end(self._approve(sequence, act, expected=expected))

    async def _to_its_end(
        self, step: Coroutine[Any, Any, tuple[Taken, PreparedChange | None]], *, wait: bool = True
    ) -> Taken:
        """Finishes a rollout change even if the caller is cancelled; returns its result.

        Otherwise the store could have another state than this gateway.
        """
        taken, change = await asyncio.shield(asyncio.create_task(step))
        if change is not None and wait:
            await self._changes.wait_until_held(change)
        return taken

    async def _take(
        self, step: Step, sequence: int, act: Act, *, expected: int, share: Share, wait: bool
    ) -> tuple[Taken, PreparedChange | None]:
        async with self._one_step:
            self._expect(expected)
            approvals = approvals_needed(self.current, step, act)
            if not approvals:
                return await self._do(step, sequence, act, share=share, wait=wait)
            # What is not possible, nobody needs to approve.
            release = release_of(self.current, sequence)
            await self._following(step, release, act, share=share)
            pending = PendingStep(
                step=step,
                sequence=sequence,
                share=share,
                asked_by=act.by,
                asked_at=act.at,
                expires_at=act.at + self._approval_seconds,
                approvals=approvals,
            )
            with refusals():
                following = after_request(self.current, pending)
            entry = audit_entry(HistoryKind.POLICY_STEP_ASKED, release, act, pending=pending)
            await self._write(following, entry)
            return Taken(release=release, pending=pending), None

    async def _approve(
        self, sequence: int, act: Act, *, expected: int
    ) -> tuple[Taken, PreparedChange | None]:
        async with self._one_step:
            self._expect(expected)
            release = release_of(self.current, sequence)
            try:
                with refusals():
                    following = after_approval(self.current, sequence, by=act.by, at=act.at)
            except ApprovalRefused as error:
                raise denied(error, act.decision) from error
            pending = following.pending
            if pending is None or len(pending.approved_by) >= pending.approvals:
                approved = self.current.pending if pending is None else pending
                assert approved is not None
                return await self._do(approved.step, sequence, act, share=approved.share, pending=approved)
            entry = audit_entry(HistoryKind.POLICY_STEP_APPROVED, release, act, pending=pending)
            await self._write(following, entry)
            return Taken(release=release, pending=pending), None

    def _expect(self, generation: int) -> None:
        if generation != self.current.generation:
            raise PreconditionFailed(
                f"it is about generation {generation}, and the rollout is at {self.current.generation}"
            )

    async def _following(
        self, step: Step, release: Release, act: Act, *, share: Share, by: str = ""
    ) -> Rollout:
        """Returns the rollout after a change (activate, ...). Raises `Conflict` if that is not possible."""
        approvals = await self._approvals_of_rolled_back(step, release, act)
        with refusals():
            following = after_step(
                self.current,
                step,
                release.sequence,
                by=by or act.by,
                at=act.at,
                share=share,
                may_return=self._engines.may_return,
                approvals=approvals,
            )
        if step is Step.ACTIVATE and act.principal is not None:
            await self._check_return(release, act)
        return following

    async def _approvals_of_rolled_back(self, step: Step, release: Release, act: Act) -> int:
        """Returns how many approvals an activation needs by the active bundle's rules.

        Only for a change that rolls that bundle back; 0 for any other.
        """
        if step is not Step.ROLL_BACK or release != self.current.active:
            return 0
        question = step_question(Step.ACTIVATE, release.sequence, act)
        return (await self._chosen.decide(question)).obligations.approvals or 0

    async def _do(
        self,
        step: Step,
        sequence: int,
        act: Act,
        *,
        share: Share,
        pending: PendingStep | None = None,
        wait: bool = True,
    ) -> tuple[Taken, PreparedChange]:
        """Makes a rollout change: prepares engines, commits, applies. One that fails has no effect."""
        asked_by = "" if pending is None else pending.asked_by
        following = await self._following(
            step, release_of(self.current, sequence), act, share=share, by=asked_by
        )
        release, active = release_of(following, sequence), following.active
        try:
            change = await self._changes.prepare(self.current, following, wait=wait)
        except BundleError as error:
            raise invalid(error.diagnostics) from error
        decides = active.sequence if active is not None and step is Step.ROLL_BACK else None
        try:
            await self._write(
                following, audit_entry(KINDS[step], release, act, decides=decides, pending=pending)
            )
        except BaseException:
            self._changes.discard(change)
            raise
        self._changes.apply(change)
        return Taken(release=release), change

    async def _check_return(self, release: Release, act: Act) -> None:
        """Raises `Conflict` if by a bundle's own rules the person who activates it could not roll it back.

        A wrong bundle could then not be rolled back by anybody. Bundles that only an OPA can evaluate pass.
        """
        bundle = await self._bundle(release)
        if bundle.manifest.engine == OPA_ENGINE:
            return
        engine = await embedded_engine(bundle)
        try:
            question = step_question(Step.ROLL_BACK, release.sequence, act)
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

    def _known(self, digest: str) -> Release | None:
        return next((release for release in self.current.releases if release.digest == digest), None)

    async def _bundle(self, release: Release) -> GatedBundle:
        """Reads a policy bundle from the store. Raises `BundleError` if it is missing or damaged there."""
        archive = await self._store.bundle_archive(release.sequence)
        if archive is None or hashlib.sha256(archive).hexdigest() != release.digest:
            detail = f"bundle {release.sequence} is damaged in the store"
            raise BundleError([Diagnostic(file="bundle", line=0, detail=detail)])
        return await asyncio.to_thread(self._gate.read, archive)
