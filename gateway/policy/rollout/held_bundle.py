"""Watches whether an OPA has loaded the policy bundle that it is served; logs where it has not.

OPA skips a bundle that it cannot compile.
"""

import asyncio
from contextlib import suppress
from typing import Final

from loguru import logger

from gateway.core.errors import Unavailable
from gateway.policy.rollout.bundle_engines import FedOpa

LOOK_SECONDS: Final = 1.0
LATE_LOOKS: Final = 10
"""The number of checks after which a bundle that is not loaded is an error; OPA needs a second or two."""


class HeldBundleWatch:
    """Polls `opa` for the revision that it has loaded, and logs once each bundle that it does not load."""

    def __init__(self, opa: FedOpa) -> None:
        self._opa = opa
        self._late = 0
        self._logged = ""

    async def run(self) -> None:
        """Compares, periodically, the bundle revision that the OPA has loaded with the one that it is served.

        Ends when it is cancelled.
        """
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Compares, once, the bundle revision that the OPA has loaded with the one that it is served."""
        served = self._opa.feed.current
        if served is None:
            return
        with suppress(Unavailable):
            # It answers with the revision; one that does not answer is seen by those who ask it.
            await self._opa.engine.check()
        if self._opa.engine.revision == served.manifest.revision:
            self._late, self._logged = 0, ""
            return
        self._late += 1
        if self._late >= LATE_LOOKS and self._logged != served.tag:
            self._logged = served.tag
            logger.error(
                "OPA does not take bundle {}, revision {}, and goes on with revision {}: {}",
                served.manifest.sequence,
                served.manifest.revision,
                self._opa.engine.revision or "none",
                self._opa.feed.trouble or "its log says why",
            )
