"""Valid policy bundles for tests, and a rollout that accepts them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from gateway.policy.bundle import bundle_of
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from gateway.policy.interface import PolicyEngine
from gateway.policy.opa.bundle_archive import Manifest, pack_bundle
from gateway.policy.opa.bundle_signature import SigningKey, sign
from gateway.policy.rollout.acts import Act, Taken
from gateway.policy.rollout.bundle_engines import EmbeddedEngines
from gateway.policy.rollout.bundle_gate import BundleGate
from gateway.policy.rollout.chosen_engine import ChosenEngine
from gateway.policy.rollout.gate_process import manifest_of_reply, reply_of
from gateway.policy.rollout.rollout import BundleRollout
from gateway.policy.rollout.shadow import Shadow
from gateway.store.sqlite.store import SqliteStore
from tests.gateway.policy.embedded.engines import EMPTY_DATA
from tests.gateway.policy.opa.keys import SIGNS, VERIFIES
from tests.gateway.store.sqlite.new_store import store_at

ADA = Act(by="ada", at=1_764_000_000.0, decision_id="d1")


def rules(name: str, *, allow: bool = True) -> dict[str, str]:
    """Returns rules that permit everything or nothing, with the rule id `name`."""
    reasons = "[]" if allow else f'[{{"rule": "{name}", "message": "no"}}]'
    decision = (
        f'{{"allow": {str(allow).lower()}, "rules": ["{name}"], "reasons": {reasons}, "obligations": {{}}}}'
    )
    return {
        f"{package}.rego": f"package waypost.{package}\n\ndecision := {decision}\n"
        for package in ("access", "placement", "submission")
    }


def archive(
    sequence: int,
    modules: dict[str, str] | None = None,
    *,
    data: dict[str, Any] | None = None,
    engine: str = "",
    key: SigningKey | None = SIGNS,
) -> bytes:
    """Returns the archive of a bundle, signed if there is a `key`; its rules are named by its sequence."""
    texts = rules(f"b{sequence}") if modules is None else modules
    text = msgspec.json.encode(EMPTY_DATA if data is None else data).decode()
    packed = pack_bundle(bundle_of(texts.items(), text, engine=engine), sequence=sequence)
    return packed if key is None else sign(packed, key)


def quick_shadow(engine: PolicyEngine) -> Shadow:
    """Returns a shadow that compares decisions as fast as it can."""
    return Shadow(engine, per_second=1e6, on_flip=lambda *_: None, on_skipped=lambda: None)


class InThisProcess:
    """Checks uploaded bundles in this process, which is faster than a `GateProcess`."""

    def __init__(self, gate: BundleGate) -> None:
        self._gate = gate

    async def check(self, archive: bytes) -> Manifest:
        return manifest_of_reply(reply_of(self._gate, archive))


class Opened:
    """A rollout of bundles over base rules named `base`, on a real store."""

    def __init__(self, store: SqliteStore, chosen: ChosenEngine, rollout: BundleRollout) -> None:
        self.store, self.chosen, self.rollout = store, chosen, rollout

    async def step(self, step: Any, sequence: int, **more: Any) -> Any:
        return (await self.take(step, sequence, ADA, **more)).release

    async def take(self, step: Any, sequence: int, act: Act, **more: Any) -> Taken:
        expected = self.rollout.current.generation
        return await self.rollout.take(step, sequence, act, expected=expected, **more)


@asynccontextmanager
async def opened(folder: Path, **of_chosen: Any) -> AsyncIterator[Opened]:
    """Opens the rollout of a folder, and again after a restart of the gateway; yields it."""
    base = folder / "base"
    if not base.exists():
        base.mkdir()
        for name, text in rules("base").items():
            (base / name).write_text(text)
        (base / "data.json").write_bytes(msgspec.json.encode(EMPTY_DATA))
    engine = EmbeddedPolicyEngine(base)
    gate = BundleGate(key=VERIFIES, unsigned=False, opa=False)
    async with (
        store_at(folder / "gateway.db") as store,
        ChosenEngine(engine, **of_chosen) as chosen,
        BundleRollout(
            store,
            gate,
            uploads=InThisProcess(gate),
            engines=EmbeddedEngines(engine),
            chosen=chosen,
            make_shadow=quick_shadow,
            approval_seconds=60,
        ) as rollout,
    ):
        yield Opened(store, chosen, rollout)
