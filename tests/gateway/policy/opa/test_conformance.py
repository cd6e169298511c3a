"""Runs the policy engine conformance suite on a real OPA."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.policy.opa.address import parse_address
from gateway.policy.opa.engine import OpaPolicyEngine
from tests.conformance.policy_engine import EngineWith, PolicyEngineConformance
from tests.opa_fixture import bundle_of, needs_opa, opa_with


@needs_opa
class TestOpa(PolicyEngineConformance):
    @pytest.fixture
    def engine_with(self, tmp_path: Path) -> EngineWith:
        numbers = itertools.count()

        @asynccontextmanager
        async def engine(rules: str, data: dict[str, Any] | None = None) -> AsyncIterator[OpaPolicyEngine]:
            async with (
                opa_with(tmp_path / str(next(numbers)), bundle_of(rules, data)) as opa,
                # What a test asks is not how quick a busy machine is.
                OpaPolicyEngine(
                    parse_address(opa.engine), deadline_seconds=10, large_deadline_seconds=10
                ) as running,
            ):
                yield running

        return engine
