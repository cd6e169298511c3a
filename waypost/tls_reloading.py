"""TLS contexts that are made again when their PEM files change: certificates rotate without a restart.

Connections that are open keep what they were opened with; each new one gets what the files hold by then.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from loguru import logger

from waypost.cancellation import cancel_and_wait
from waypost.tls import (
    Credentials,
    PkiError,
    api_context,
    client_context,
    roots_context,
    server_context,
)

RELOAD_SECONDS: Final = 10.0
"""The seconds between two looks at the files. Kubernetes takes up to a minute to update a mounted secret."""

FileStates: TypeAlias = tuple[tuple[int, int, int] | None, ...]
"""Inode, size in bytes and modification time in ns of each of some files; None for one that is absent."""


class ReloadedContext(ssl.SSLContext):
    """A TLS context that opens each new connection with what its PEM `files` held when it last looked.

    `make` makes a context from the files. Python's contexts can take a new certificate, but cannot give up a
    root. So connections are wrapped by a context within this one, which `reload` replaces.
    """

    _make: Callable[[], ssl.SSLContext]
    _files: Sequence[Path]
    _inner: ssl.SSLContext
    _states: FileStates
    _refused: FileStates | None
    """The state of the files that could not be used, and were reported already."""
    _alpn_protocols: list[str] | None

    def __new__(cls, make: Callable[[], ssl.SSLContext], files: Sequence[Path]) -> Self:
        # Looked at before reading: what changes in between is read again.
        states = _states(files)
        inner = make()
        context = super().__new__(cls, inner.protocol)
        context._make, context._files, context._inner = make, files, inner
        context._states, context._refused, context._alpn_protocols = states, None, None
        return context

    def __init__(self, *_: object) -> None:
        super().__init__()

    def reload(self) -> bool:
        """Makes the inner context again if a file has changed; returns whether it did. It reads files.

        Where the files cannot be used, for example because only one of a pair is there yet, this logs an
        error and keeps the inner context; the next call tries again.
        """
        states = _states(self._files)
        if states == self._states:
            return False
        try:
            inner = self._make()
            if self._alpn_protocols is not None:
                inner.set_alpn_protocols(self._alpn_protocols)
        except PkiError as error:
            if states != self._refused:
                logger.error("changed certificates cannot be used, those read before stay in use: {}", error)
            self._refused = states
            return False
        self._inner, self._states, self._refused = inner, states, None
        logger.info("certificates were read again: {}", ", ".join(map(str, self._files)))
        return True

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        self._alpn_protocols = list(alpn_protocols)
        self._inner.set_alpn_protocols(self._alpn_protocols)

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return self._inner.wrap_bio(*args, **options)

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        return self._inner.wrap_socket(*args, **options)


def reloaded_server_context(credentials: Credentials) -> ReloadedContext:
    """Returns the context of `waypost.tls.server_context` that follows changes of its files."""
    return ReloadedContext(lambda: server_context(credentials), _files(credentials))


def reloaded_client_context(credentials: Credentials) -> ReloadedContext:
    """Returns the context of `waypost.tls.client_context` that follows changes of its files."""
    return ReloadedContext(lambda: client_context(credentials), _files(credentials))


def reloaded_api_context(certificate: Path, key: Path) -> ReloadedContext:
    """Returns the context of `waypost.tls.api_context` that follows changes of its files."""
    return ReloadedContext(lambda: api_context(certificate, key), (certificate, key))


def reloaded_roots_context(roots: str) -> ReloadedContext:
    """Returns the context of `waypost.tls.roots_context` that follows changes of its file."""
    return ReloadedContext(lambda: roots_context(roots), (Path(roots),))


@asynccontextmanager
async def followed(
    context: ReloadedContext, *, on_change: Callable[[], None] = lambda: None
) -> AsyncIterator[ReloadedContext]:
    """Yields a context whose files are looked at every `RELOAD_SECONDS` while this is open."""
    reloading = asyncio.create_task(
        reload_certificates((context,), on_change=on_change, seconds=RELOAD_SECONDS), name="certificates"
    )
    try:
        yield context
    finally:
        await cancel_and_wait((reloading,))


async def reload_certificates(
    contexts: Collection[ReloadedContext],
    *,
    on_change: Callable[[], None],
    seconds: float = RELOAD_SECONDS,
) -> None:
    """Reloads the contexts every `seconds`, on a thread, until cancelled; after a change calls `on_change`.

    Where `on_change` raises `PkiError`, because a file is just being replaced, it is called again the next
    time.
    """
    changed = False
    while True:
        await asyncio.sleep(seconds)
        for context in contexts:
            changed |= await asyncio.to_thread(context.reload)
        if changed:
            try:
                on_change()
                changed = False
            except PkiError as error:
                logger.warning("the changed certificates cannot be shown in the metrics yet: {}", error)


def _files(credentials: Credentials) -> tuple[Path, ...]:
    return credentials.certificate, credentials.key, credentials.root


def _states(files: Sequence[Path]) -> FileStates:
    return tuple(_state(path) for path in files)


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
