"""The feed from which an OPA downloads its policy bundle, with long polling for the next one."""

import asyncio
from typing import Self

from msgspec import Struct

from gateway.policy.opa.bundle_archive import Manifest


class ServedBundle(Struct, frozen=True, kw_only=True):
    """A checked policy bundle as an OPA downloads it: the archive, and its manifest."""

    archive: bytes
    manifest: Manifest

    @property
    def tag(self) -> str:
        """Returns the HTTP entity tag of the bundle, made of its sequence number and revision."""
        return f'"{self.manifest.sequence}-{self.manifest.revision}"'


class BundleFeed:
    """Holds the policy bundle that an OPA downloads, and lets long polls wait for the next one.

    It has no bundle until `serve` is called. Leaving `async with` ends all long polls.
    """

    def __init__(self) -> None:
        self.current: ServedBundle | None = None
        self.trouble = ""
        """The reason why OPA does not activate the bundle, as OPA reports it; empty if there is none."""
        self._changed = asyncio.Event()
        self._ending = False

    def __repr__(self) -> str:
        return f"<BundleFeed of {self.current and self.current.tag}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.end()

    async def run(self) -> None:
        """Waits until it is cancelled, then ends all long polls, which would delay the server's stop."""
        try:
            await asyncio.Event().wait()
        finally:
            self.end()

    def serve(self, bundle: ServedBundle | None) -> None:
        """Sets the bundle that the feed offers for download; None: it offers none."""
        self.current, self.trouble = bundle, ""
        self._wake()

    async def other_than(self, tag: str, *, seconds: float) -> ServedBundle | None:
        """Waits up to `seconds` until the feed has a bundle with another tag than `tag`, and returns it.

        Returns None if there is none by then, and at once if the feed has no bundle.
        """
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
        """Ends all long polls, which then return no bundle."""
        self._ending = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
