"""Tests the bundle archive that OPA loads."""

import io
import json
import tarfile
from pathlib import Path

from gateway.policy.bundle import SHIPPED_POLICIES, read_bundle
from gateway.policy.opa.address import parse_address
from gateway.policy.opa.bundle_archive import pack_bundle
from gateway.policy.opa.engine import OpaPolicyEngine
from tests.conformance.policy_engine import document, submission
from tests.opa_fixture import bundle_of, needs_opa, opa_with


def test_the_archive_has_rules_data_and_revision() -> None:
    """Neither tests nor schemas: what decides, and what asks for several decisions at once."""
    bundle = read_bundle(SHIPPED_POLICIES, None)
    with tarfile.open(fileobj=io.BytesIO(pack_bundle(bundle))) as archive:
        names = archive.getnames()
        manifest = archive.extractfile("/.manifest")
        assert manifest is not None
        found = json.load(manifest)
    modules = [f"/{name}" for name, _ in bundle.source.modules]
    assert sorted(names) == sorted(["/.manifest", "/data.json", "/waypost_batch.rego", *modules])
    metadata = {"sequence": 0}
    assert found == {"revision": bundle.revision, "roots": [""], "rego_version": 1, "metadata": metadata}


def test_the_same_bundle_gives_the_same_bytes() -> None:
    """Who builds the same rules again can compare the file."""
    assert pack_bundle(bundle_of("decision := 1")) == pack_bundle(bundle_of("decision := 1"))
    assert pack_bundle(bundle_of("decision := 1")) != pack_bundle(bundle_of("decision := 2"))


@needs_opa
async def test_the_rules_that_ship_permit_the_example_on_opa(tmp_path: Path) -> None:
    """OPA takes the shipped rules as they are, under the revision that the embedded engine gives them."""
    bundle = read_bundle(SHIPPED_POLICIES, None)
    async with (
        opa_with(tmp_path, bundle) as opa,
        OpaPolicyEngine(parse_address(opa.engine), deadline_seconds=10) as engine,
    ):
        decision = await engine.decide(submission(document("scan", dataClass="internal")))
    assert (decision.fault, decision.allow, decision.revision) == ("", True, bundle.revision)
    assert decision.obligations.regions == ("beijing", "shanghai", "shenzhen")
