"""Seals the audit trail: stores signed digests of its new entries in the background."""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from loguru import logger

from gateway.core.errors import Unavailable
from gateway.settings import AuditSettings
from gateway.store.trail import KeepsTrail
from observability.audit import Seal, make_seal
from waypost.files.permissions import write_private


class AuditKeyError(Exception):
    """Raised if the private key that signs audit seals cannot be read, used or made."""


def read_audit_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Reads the private key that signs audit seals from the PEM file `path`.

    Raises `AuditKeyError` for a file that cannot be read or holds no ECDSA key on P-256.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise AuditKeyError(f"the key of audit seals cannot be read from {path}: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise AuditKeyError(f"{path} holds no ECDSA key on P-256: `waypost audit key FILE` makes one")
    return key


def make_audit_key(path: Path) -> str:
    """Makes a private key that signs audit seals, in the file `path`; returns its public key as PEM.

    Raises `AuditKeyError` if the file exists: seals made with its key could no longer be verified.
    """
    if path.exists():
        raise AuditKeyError(f"{path} is there already: seals made with it would no longer be verified")
    key = ec.generate_private_key(ec.SECP256R1())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    write_private(path, key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    return public.decode()


SEALED_AT_ONCE: Final = 50
"""The maximum number of seals that one `seal_all` makes."""


class AuditSealer:
    """Stores, every `seal_seconds`, a seal (a signed digest) of the new entries of the audit trail."""

    def __init__(
        self,
        store: KeepsTrail,
        key: ec.EllipticCurvePrivateKey,
        *,
        seal_seconds: float,
        clock: Callable[[], float],
        on_alarm: Callable[[], None],
    ) -> None:
        self._store, self._key, self._clock = store, key, clock
        self._seal_seconds, self._on_alarm = seal_seconds, on_alarm
        self._last: Seal | None = None
        self._looked_at: int | None = None

    async def run(self) -> None:
        """Seals new audit entries periodically until cancelled; a failure of the store does not end it."""
        while True:
            try:
                await self.seal_all()
            except Unavailable as error:
                logger.warning("the audit trail is not sealed now: {}", error)
            await asyncio.sleep(self._seal_seconds)

    async def seal_all(self) -> None:
        """Stores seals (signed digests) of the audit entries that have none yet.

        After `SEALED_AT_ONCE` seals the rest is left to the next call. Stops, with an alarm, if another
        process has changed the seals. Raises `Unavailable` if the store cannot answer.
        """
        if self._looked_at is None:
            self._last = await self._store.last_seal()
            self._looked_at = self._last.entries[-1][0] if self._last else 0
        for _ in range(SEALED_AT_ONCE):
            found = await self._store.trail(after=self._looked_at)
            if found.entries and not await self._seal(found.entries):
                return
            if found.last == self._looked_at:
                return
            self._looked_at = found.last

    async def _seal(self, entries: Mapping[int, Mapping[str, Any]]) -> bool:
        """Stores a seal (signed digest) of `entries`; returns False if another process changed the seals."""
        stored = await self._store.last_seal()
        if stored != self._last:
            self._alarm("the last seal in the store is not the one that was made")
            return False
        # On a thread: digests of a thousand entries take some milliseconds.
        seal = await asyncio.to_thread(make_seal, entries, self._last, at=self._clock(), key=self._key)
        if not await self._store.add_seal(seal):
            self._alarm(f"somebody else has made seal {seal.number}")
            return False
        self._last = seal
        return True

    def _alarm(self, what: str) -> None:
        # Sealing what somebody has changed would vouch for it: it stops until a person has looked.
        self._on_alarm()
        logger.error("the audit trail was changed from outside: {}; see `waypost audit verify`", what)


def audit_sealer(
    settings: AuditSettings, store: KeepsTrail, *, on_alarm: Callable[[], None]
) -> AuditSealer | None:
    """Builds the `AuditSealer` that the settings ask for; None, with a warning, if they name no key.

    Raises `AuditKeyError` for a key that cannot be used.
    """
    if settings.key is None:
        logger.warning("the audit trail is not sealed: the setting audit.key names no key")
        return None
    key = read_audit_key(Path(settings.key))
    return AuditSealer(store, key, seal_seconds=settings.seal_seconds, clock=time.time, on_alarm=on_alarm)
