"""Tests decision logs that a real OPA sends to the internal port of a gateway."""

import json
from pathlib import Path

import msgspec
from starlette.routing import Router

from gateway.api.internal.decision_logs import decision_log_route
from gateway.cli.dev.opa_process import OpaProcess
from gateway.cli.dev.stack_opa import polling_configuration
from gateway.policy.opa.address import parse_address
from gateway.policy.opa.decision_logs import OpaRecord
from gateway.policy.opa.engine import OpaPolicyEngine
from tests.conformance.policy_engine import ALLOW, document, submission
from tests.gateway.store.sqlite.new_store import store_at
from tests.integration.waiting import until
from tests.opa_fixture import OPA, bundle_of, needs_opa, packed
from waypost.serving import Server


def logging_to(port: int, path: Path) -> Path:
    """Writes a configuration by which OPA sends its decision logs to a port of this machine."""
    config = polling_configuration(f"http://127.0.0.1:{port}", "")
    path.write_text(json.dumps({name: config[name] for name in ("services", "decision_logs")}))
    return path


@needs_opa
async def test_opa_s_own_record_is_found_by_the_id_that_its_answer_has(tmp_path: Path) -> None:
    """With its revision and metrics, and without the document that policy may mask."""
    assert OPA is not None
    bundle = bundle_of(ALLOW)
    archive = packed(tmp_path / "bundle", bundle)
    async with (
        store_at(tmp_path / "gateway.db") as store,
        Server(Router([decision_log_route(store, kept=100)]), host="127.0.0.1", port=0) as server,
        OpaProcess(
            OPA,
            archive,
            tmp_path / "opa.sock",
            log=tmp_path / "opa.log",
            config=logging_to(server.port, tmp_path / "opa.json"),
        ) as opa,
        OpaPolicyEngine(parse_address(opa.engine), deadline_seconds=30) as engine,
    ):
        decision = await engine.decide(submission(document("canary")))
        assert (decision.fault, decision.allow) == ("", True)

        async def logged() -> bool:
            return await store.opa_record(decision.engine_decision_id) is not None

        assert await until(logged)
        found = await store.opa_record(decision.engine_decision_id)
    assert found is not None
    record = msgspec.json.decode(found, type=OpaRecord)
    assert record.decision_id == decision.engine_decision_id
    assert record.path == "waypost/batch/submission"
    assert [one["revision"] for one in record.bundles.values()] == [bundle.revision]
    assert "timer_rego_query_eval_ns" in record.metrics
    assert b"canary" not in found
