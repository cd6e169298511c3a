"""Watches a file for new policy bundles, and uploads and activates each newer one without a person.

For releases from Git: who may write the file decides which rules are in force. A bundle that fails the checks
of uploads, or is older than another, is logged and counted in a metric; the former bundle stays active.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from loguru import logger

from gateway.core.errors import GatewayError, Unavailable
from gateway.policy.bundle import OPA_ENGINE
from gateway.policy.opa.bundle_archive import ARCHIVE_MAXIMUM_BYTES, ArchiveError
from gateway.policy.rollout.acts import Act
from gateway.policy.rollout.bundle_states import BundleState, Step, rolled_back_before
from gateway.policy.rollout.rollout import BundleRollout

LOOK_SECONDS: Final = 1.0
"""The pause between two checks of the file."""
ACTOR: Final = "gateway"
"""The name in the audit trail of the actor that activates bundles from the file."""


class BundlePlace:
    """Watches the policy bundle file `place`, and uploads and activates new bundles from it.

    `place` None: there is no file to watch. `on_outcome` is called with `Activated` or `Refused` for each
    bundle that is found. `async with` raises `ArchiveError` if it can activate no bundle from the file and
    none was active before.
    """

    def __init__(
        self,
        place: Path | None,
        rollout: BundleRollout,
        *,
        clock: Callable[[], float],
        on_outcome: Callable[[str], None],
    ) -> None:
        self._place, self._rollout, self._clock = place, rollout, clock
        self._on_outcome = on_outcome
        self._seen: tuple[int, ...] = ()
        self._waits_for = ""
        """Why the bundle in the file is not activated yet; empty if it waits for nothing."""

    def __repr__(self) -> str:
        return f"<BundlePlace {self._place}>"

    async def __aenter__(self) -> Self:
        await self.look(starting=True)
        if self._place is not None and self._rollout.current.active is None:
            raise ArchiveError(f"there is no good bundle at {self._place}, and none is active")
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def run(self) -> None:
        """Checks the bundle file periodically for a new bundle, until cancelled."""
        while self._place is not None:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()
        await asyncio.Event().wait()

    async def look(self, *, starting: bool = False) -> None:
        """Reads the bundle file if it has changed; activates its bundle if valid and newer than all others.

        A bundle is newer if its sequence number is higher. `starting`: this gateway does not listen yet, so
        that no OPA can fetch a bundle from it.
        """
        if self._place is None or (seen := _identity(self._place)) == self._seen:
            return
        self._seen = seen
        try:
            if await self._take(await asyncio.to_thread(_read, self._place), starting=starting):
                self._on_outcome("Activated")
            self._waits_for = ""
        except Unavailable as error:
            # No OPA has said anything of it: that is no refusal, and it is tried at the next look again.
            self._seen = ()
            if error.detail != self._waits_for:
                logger.warning("the bundle {} waits: {}", self._place, error.detail)
            self._waits_for = error.detail
        except GatewayError as error:
            details = "; ".join([error.detail, *(one.detail for one in error.errors)])
            logger.error("the bundle {} is not taken: {}", self._place, details)
            self._on_outcome("Refused")
        except OSError as error:
            logger.error("the bundle {} cannot be read: {}", self._place, error)
            self._on_outcome("Refused")

    async def _take(self, archive: bytes, *, starting: bool) -> bool:
        """Uploads and activates a bundle from the file; returns False if it is not newer than all others.

        A bundle that was uploaded from the file earlier and could not be activated then, since no OPA
        answered, counts as newer: it is tried again.

        Raises `Unavailable` if an OPA must compile the bundle first, and none answers.
        """
        act = Act(by=ACTOR, at=self._clock(), decision_id="")
        newest = self._rollout.current.newest
        release = await self._rollout.upload(archive, act)
        is_left = release.uploaded_by == ACTOR and release.state is BundleState.GATED
        if release.sequence < newest or (release.sequence == newest and not is_left):
            return False
        if starting and release.engine == OPA_ENGINE and self._rollout.current.active is not None:
            raise Unavailable("an OPA compiles it first, which fetches it when this gateway listens")
        if former := rolled_back_before(self._rollout.current, release):
            named = ", ".join(map(str, former))
            logger.warning(
                "the bundle {} has the rules and data of {}, which was rolled back", self._place, named
            )
        expected = self._rollout.current.generation
        # The very first bundle counts before an OPA has it; `HeldBundleWatch` says where it is not taken.
        await self._rollout.take(Step.ACTIVATE, release.sequence, act, expected=expected, wait=not starting)
        return True


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(ARCHIVE_MAXIMUM_BYTES + 1)


def _identity(path: Path) -> tuple[int, ...]:
    """Returns inode, size and times of a file, which change with its content; empty if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_size)
