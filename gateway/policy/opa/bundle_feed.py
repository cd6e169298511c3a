"""Has the bundle that OPA is to hold, and lets OPA wait for another one."""

import asyncio
from typing import Self

from msgspec import Struct

from gateway.policy.opa.bundle_archive import Manifest


class ServedBundle(Struct, frozen=True, kw_only=True):
    """A good bundle, and what its manifest says."""

    archive: bytes
    manifest: Manifest

    @property
    def tag(self) -> str:
        """What tells it from every other bundle, as an HTTP entity tag."""
        return f'"{self.manifest.sequence}-{self.manifest.revision}"'


class BundleFeed:
    """The bundle that an OPA fetches; there is none until `serve` gives it one. Its end ends every wait."""

    def __init__(self) -> None:
        self.current: ServedBundle | None = None
        self.trouble = ""
        """Why OPA does not take the bundle, as it reports it; empty: it does, or has not reported."""
        self._changed = asyncio.Event()
        self._ending = False

    def __repr__(self) -> str:
        return f"<BundleFeed of {self.current and self.current.tag}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.end()

    async def run(self) -> None:
        """Lets OPA wait for as long as the gateway runs: a server that stops would wait for it."""
        try:
            await asyncio.Event().wait()
        finally:
            self.end()

    def serve(self, bundle: ServedBundle) -> None:
        """Gives OPA this bundle from now on."""
        self.current, self.trouble = bundle, ""
        self._wake()

    async def other_than(self, tag: str, *, seconds: float) -> ServedBundle | None:
        """The current bundle, once it is another than `tag`; None where it is not within `seconds`."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while self.current is not None and self.current.tag == tag:
            left = ends - loop.time()
            if self._ending or left <= 0:
                return None
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return None
        return self.current

    def end(self) -> None:
        """Lets those go who wait for another bundle."""
        self._ending = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
