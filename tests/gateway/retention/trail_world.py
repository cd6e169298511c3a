"""A store with a sealed audit trail whose oldest part is archived, for tests; kills its process on demand.

`python -m tests.gateway.retention.trail_world FOLDER STEP` archives that part and deletes it, and kills
itself before the step number STEP: a call of the store, or of the system for a file of the archive.
"""

import asyncio
import gzip
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import structs

from gateway.ended_run_settings import RetentionSettings
from gateway.retention.retention import Retention
from gateway.store.sqlite.store import SqliteStore
from gateway.submission.audit_sealing import AuditSealer, make_audit_key, read_audit_key
from observability.audit import Seal
from observability.audit_verification import Verification, verify
from observability.metrics import Metrics
from tests.conformance.store_decisions import DOCUMENT, accepted, asked
from tests.conformance.store_retention import ended_run, purge_all, take_out
from tests.conformance.store_values import DAY, NOW, admission
from tests.gateway.store.sqlite.new_store import store_at

RUNS: Final = 6
"""The number of runs that are gone from the store, each accepted under a seal of its own."""
LATER: Final = NOW + 100 * DAY
"""The time of the passes."""


def sealer(store: SqliteStore, folder: Path, at: float) -> AuditSealer:
    path = folder / "audit.pem"
    if not path.exists():
        make_audit_key(path)
    key = read_audit_key(path)
    return AuditSealer(store, key, seal_seconds=1.0, clock=lambda: at, on_alarm=lambda: None)


def public_key(folder: Path) -> ec.EllipticCurvePublicKey:
    return read_audit_key(folder / "audit.pem").public_key()


def retention(store: Any, folder: Path, *, at: float = LATER, **settings: Any) -> Retention:
    given: dict[str, Any] = {"audit_days": 30.0, "archive": str(folder / "archive")} | settings
    return Retention(store, RetentionSettings(**given), Metrics(), clock=lambda: at)


async def accept(store: SqliteStore, *names: str) -> None:
    for name in names:
        given = structs.replace(admission(name, workflow=DOCUMENT), decision=asked(f"accept-{name}"))
        await store.admit(structs.replace(given, history=(accepted(name, f"accept-{name}"),)))


async def fill(store: SqliteStore, folder: Path) -> None:
    """Makes a trail with one sealed run a day, of which all but the first are gone from the store."""
    runs = []
    for number in range(RUNS):
        runs.append(await ended_run(store, f"run-{number}"))
        await sealer(store, folder, NOW + number * DAY).seal_all()
    await take_out(store, *runs[1:])
    await purge_all(store)
    await accept(store, "young")
    await sealer(store, folder, LATER - DAY).seal_all()


async def live(store: SqliteStore) -> tuple[list[Any], list[Seal]]:
    entries = list((await store.trail(after=0)).entries.values())
    return entries, list(await store.seals(after=0, limit=999))


def lines_of(path: Path) -> list[Any]:
    return [msgspec.json.decode(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


async def verified(store: SqliteStore, folder: Path) -> Verification:
    """Verifies the trail in the store together with its archived part, as one chain."""
    entries, seals = await live(store)
    key, archive = public_key(folder), folder / "archive"
    alone = verify(entries, seals, keys=[key])
    assert alone.findings == (), alone
    while alone.archived is not None:
        found = lines_of(archive / alone.archived.file)
        entries = [line["entry"] for line in found if "entry" in line] + entries
        seals = [msgspec.convert(line["seal"], Seal) for line in found if "seal" in line] + seals
        alone = verify(entries, seals, keys=[key])
        assert alone.findings == (), alone
    return alone


class Killed:
    """Counts steps, and kills this process before one of them."""

    def __init__(self, step: int) -> None:
        self._left = step

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **named)

        return counted


class KilledStore:
    """A store whose calls are steps."""

    def __init__(self, store: SqliteStore, killed: Killed) -> None:
        self._store, self._killed = store, killed

    def __getattr__(self, name: str) -> Any:
        return self._killed.before(getattr(self._store, name))


async def archive_all(store: SqliteStore, through: Any, folder: Path) -> None:
    """Makes passes through `through` until the old part is archived and no row of it is left."""
    passing = retention(through, folder)
    while (mark := await store.archived_trail()) is None or not mark.deleted:
        await passing.make_pass()
        await sealer(store, folder, LATER).seal_all()


async def main(folder: Path, step: int) -> None:
    killed = Killed(step)
    os.rename, os.fsync = killed.before(os.rename), killed.before(os.fsync)
    async with store_at(folder / "gateway.db") as store:
        await archive_all(store, KilledStore(store, killed), folder)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
