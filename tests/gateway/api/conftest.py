"""Fixtures of the API on a real store, with a fake authenticator and a fake policy engine."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from msgspec import structs

from clusters.protocol import ClusterStatus
from clusters.registry import executors_at
from gateway.api.http.services import Services
from gateway.api.routes import api
from gateway.core.decision import Action, Decision, Obligations, Question, Reason
from gateway.core.errors import Malformed, Unauthenticated
from gateway.core.principal import Principal
from gateway.identity.interface import RequestCredentials
from gateway.policy.masking import masked, unanswered
from gateway.policy.rollout.bundle_engines import EmbeddedEngines
from gateway.policy.rollout.bundle_gate import BundleGate
from gateway.policy.rollout.chosen_engine import ChosenEngine
from gateway.policy.rollout.rollout import BundleRollout
from gateway.regions.region_condition import RegionCondition
from gateway.regions.region_view import RegionView
from gateway.settings import GatewaySettings
from gateway.store.interface import Store
from gateway.submission.reading.document_reader import DocumentReader, reader_greeting
from gateway.submission.reading.worker_main import request_handler
from observability.metrics import Metrics
from tests.gateway.api.description import described
from tests.gateway.policy.opa.keys import VERIFIES
from tests.gateway.policy.rollout.releases import InThisProcess, quick_shadow
from tests.gateway.store.sqlite.new_store import store_at

REGIONS = ("beijing", "shanghai")


class InlinePool:
    """A fake worker pool that reads documents in this process: starting another takes half a second."""

    def __init__(self, greeting: bytes) -> None:
        self._answer = request_handler(greeting)

    async def call(self, request: bytes, *, caller: str) -> bytes:
        return self._answer(request, lambda _: None)


class Door:
    """A fake authenticator: the token `TENANT.SUBJECT` authenticates that caller."""

    def __init__(self) -> None:
        self.broken: Exception | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def authenticate(self, credentials: RequestCredentials) -> Principal:
        if self.broken is not None:
            raise self.broken
        if credentials.in_query_or_cookie or len(credentials.authorization) > 1:
            raise Malformed("one token, in one Authorization header")
        scheme, _, token = (credentials.authorization or (b"",))[0].decode().partition(" ")
        tenant, dot, subject = token.partition(".")
        if scheme != "Bearer" or not dot:
            raise Unauthenticated("the token is not acceptable")
        return Principal(subject=subject, issuer="https://issuer.test", tenant=tenant, expires_at=2e9)


class Rules:
    """A fake policy engine that permits a tenant everything with its own runs, unless a test changes that.

    Keeps the questions it was asked.
    """

    revision = "rules-1"

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.obligations = Obligations(regions=REGIONS)
        self.refused: dict[Action, Reason] = {}
        self.fault = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def check(self) -> None: ...

    async def decide(self, question: Question) -> Decision:
        self.asked.append(question)
        reasons = [self.refused[question.action]] if question.action in self.refused else []
        tenant = question.context.get("run", {}).get("tenant", question.principal.tenant)
        if tenant != question.principal.tenant:
            reasons.append(Reason(rule="tenant.foreign", message="another tenant's run"))
        return Decision(
            id=f"d{len(self.asked)}",
            at=question.at,
            action=question.action,
            allow=not reasons and not self.fault,
            revision=self.revision,
            engine="test",
            rules=("submit.allowed",),
            reasons=tuple(reasons),
            obligations=self.obligations,
            fault=self.fault,
            question=unanswered(question) if self.fault else masked(question, self.obligations.mask),
        )


def region(name: str, **changes: Any) -> RegionView:
    view = RegionView(
        name=name,
        condition=RegionCondition.HEALTHY,
        free_slots=8,
        peak_ewma_seconds=0.01,
        inflight=0,
        status=ClusterStatus(
            region=name,
            incarnation="journal",
            boot="boot",
            uptime=1.0,
            slots=8,
            held=0,
            seq=0,
            executors=("process", "delay"),
        ),
    )
    return structs.replace(view, **changes)


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture
def views() -> list[RegionView]:
    return [region(name) for name in REGIONS]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with store_at(tmp_path / "gateway.db") as store:
        yield store


@pytest.fixture
async def rollout(rules: Rules, store: Store) -> AsyncIterator[BundleRollout]:
    """Yields a rollout of bundles that never decide: the fake engine `rules` does."""
    gate = BundleGate(key=VERIFIES, unsigned=False, opa=False)
    async with (
        ChosenEngine(rules) as chosen,
        BundleRollout(
            store,
            gate,
            uploads=InThisProcess(gate),
            engines=EmbeddedEngines(rules),
            chosen=chosen,
            make_shadow=quick_shadow,
            approval_seconds=60,
        ) as rollout,
    ):
        yield rollout


@pytest.fixture
async def services(
    door: Door, rules: Rules, rollout: BundleRollout, store: Store, views: Sequence[RegionView]
) -> Services:
    settings, executors = GatewaySettings(), executors_at([])
    greeting = reader_greeting(settings.documents, executors, {})
    return Services(
        settings=settings,
        authenticator=door,
        policy=rules,
        rollout=rollout,
        store=store,
        metrics=Metrics(),
        executors=executors,
        reader=DocumentReader(settings.documents, InlinePool(greeting)),
        regions=lambda: views,
        engines={},
        clusters={},
    )


@pytest.fixture
async def client(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """Yields an HTTP client of tenant `payments`; every answer is checked by the API description."""
    headers = {"authorization": "Bearer payments.ada"}
    transport = httpx.ASGITransport(api(services), raise_app_exceptions=True)
    hooks = {"response": [described]}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://gateway", headers=headers, event_hooks=hooks
    ) as client:
        yield client


@pytest.fixture
def document() -> dict[str, Any]:
    return {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": "nightly", "labels": {"team": "data"}},
        "spec": {"tasks": [{"name": "a", "type": "delay", "run": {"seconds": 0}}], "shards": {"count": 2}},
    }
