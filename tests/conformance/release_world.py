"""A simulated gateway for the conformance suite of release kinds: its clock, its alerts, its Prometheus."""

import hashlib
import hmac
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Final

import httpx
import msgspec
from msgspec import structs

from clusters.registry import executors_at
from gateway.api.http.services import Services
from gateway.api.routes import api
from gateway.core.rollback import Alert, ReleaseKind, Rollback
from gateway.rollback.controller import RollbackController
from gateway.rollback.evidence import Evidence, KnowsReleases, NoEvidence, Shares
from gateway.rollback.interface import Counted, Queries, Releases
from gateway.rollback_settings import LaterKindSettings, ReleaseKindSettings
from gateway.settings import GatewaySettings, RollbackSettings, Secret
from gateway.submission.reading.document_reader import DocumentReader, reader_greeting
from observability.metrics import Metrics
from tests.gateway.api.conftest import Door, InlinePool, Rules
from tests.gateway.policy.rollout.releases import Opened

START: Final = 2_000_000_000.0
BEARER: Final = {"authorization": "Bearer of-alertmanager"}


class State(StrEnum):
    """The state of a version, in words that hold for every kind of release."""

    WAITING = "waiting"
    CANARY = "canary"
    IN_FORCE = "in force"
    BEFORE = "before"
    TAKEN_BACK = "taken back"


def settings_of(kind: ReleaseKind, mode: Any = "on", **changes: Any) -> RollbackSettings:
    """Returns settings under which one kind of release has this mode, and alerts are accepted."""
    own = ReleaseKindSettings if kind is ReleaseKind.POLICY else LaterKindSettings
    settings = RollbackSettings(alerts_token=Secret("of-alertmanager"), alerts_key=Secret("of-grafana"))
    return structs.replace(settings, **{kind: own(mode=mode)}, **changes)


class ReleaseWorld(ABC):
    """Three versions of one release: 1 is in force, 2 and 3 wait. The clock stands still between passes.

    A subclass says how a kind's versions are released, and what they are called.
    """

    kind: ReleaseKind
    counted: Counted

    def __init__(self, gateway: Opened) -> None:
        self.gateway, self.store, self.now = gateway, gateway.store, START
        self.settings = settings_of(self.kind)
        self.prometheus: KnowsReleases = self
        self.found: Evidence | NoEvidence = self.measured()
        self.asked: list[Queries] = []
        self.region_lost = False
        self.phases: list[str] = []

    @property
    @abstractmethod
    def releases(self) -> Releases: ...

    @abstractmethod
    def name(self, number: int) -> str: ...

    @abstractmethod
    async def states(self) -> dict[int, State]: ...

    @abstractmethod
    async def release(self, number: int) -> None:
        """Puts a version in force for all, as a person does."""

    @abstractmethod
    async def canary(self, number: int) -> None: ...

    @abstractmethod
    async def take_back(self, number: int) -> None: ...

    def measured(self, *, share: float = 0.4, baseline: float = 0.01, **changes: Any) -> Evidence:
        """Returns evidence that the release is bad, unless changed."""
        total, other = changes.pop("total", 1_000.0), changes.pop("baseline_total", 1_000.0)
        values: dict[str, Any] = {
            "counted": self.counted,
            "release": Shares(total=total, bad=share * total),
            "baseline": Shares(total=other, bad=baseline * other),
            "failovers": 0.0,
            "regions_back": 0.0,
            "clock_offset_seconds": 0.0,
        }
        return Evidence(**values | changes)

    async def evidence(
        self, queries: Queries, counted: Counted, *, window_seconds: int
    ) -> Evidence | NoEvidence:
        self.asked.append(queries)
        assert (counted, window_seconds) == (self.counted, 300)
        return self.found

    async def passes(self, seconds: float = 0.0) -> None:
        """Runs one pass of a newly started controller, after `seconds`."""
        self.now += seconds
        controller = RollbackController(
            self.store,
            {self.kind: self.releases},
            self.prometheus,
            self.settings,
            clock=lambda: self.now,
            region_lost=lambda: self.region_lost,
            on_phase=self.phases.append,
        )
        await controller.pass_once()

    async def alert(self, number: int = 1, *, version: int = 2, **changes: Any) -> Alert:
        """Stores an alert about a version; each `number` is another alert."""
        values: dict[str, Any] = {
            "group": "g",
            "fingerprint": f"f{number}",
            "starts_at": "2026-01-01T00:00:00Z",
            "name": "ItGoesBadly",
            "kind": self.kind,
            "subject": self.name(version),
            "received_at": self.now,
        }
        alert = Alert(**values | changes)
        await self.store.take_alerts([alert])
        return alert

    async def rollbacks(self) -> list[Rollback]:
        return list((await self.store.rollbacks(limit=99)).rollbacks)

    def notification(self, *, version: int = 2, status: str = "firing") -> bytes:
        """Returns the body that Alertmanager sends about a version."""
        labels = {"alertname": "ItGoesBadly", "rollback": self.kind, "release": self.name(version)}
        alert = {"status": status, "labels": labels, "startsAt": "2026", "fingerprint": f"of-{version}"}
        return msgspec.json.encode({"version": "4", "groupKey": "g", "alerts": [alert]})

    def signed(self, body: bytes, *, ago: float = 0.0) -> dict[str, str]:
        """Returns the headers with which Grafana signs the body."""
        timestamp = str(int(self.now - ago))
        digest = hmac.new(b"of-grafana", f"{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
        return {"x-grafana-alerting-signature": digest, "x-grafana-alerting-timestamp": timestamp}

    @asynccontextmanager
    async def sender(self) -> AsyncIterator[httpx.AsyncClient]:
        """Opens a client of this gateway's API, as senders of alerts have it."""
        settings = GatewaySettings(rollback=self.settings)
        greeting = reader_greeting(settings.documents, executors_at([]), {})
        services = Services(
            settings=settings,
            authenticator=Door(),
            policy=Rules(),
            rollout=self.gateway.rollout,
            store=self.store,
            metrics=Metrics(),
            executors=executors_at([]),
            reader=DocumentReader(settings.documents, InlinePool(greeting)),
            regions=lambda: (),
            engines={},
            clusters={},
            clock=lambda: self.now,
            wall_clock=lambda: self.now,
        )
        transport = httpx.ASGITransport(api(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            yield client

    def set_mode(self, mode: str, **changes: Any) -> None:
        self.settings = structs.replace(settings_of(self.kind, mode), **changes)
