"""The kinds of load that noisy tenants make in the benchmark of tenants (`bench.tenants`)."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LOUD = ("payments", *(f"crowd{n}" for n in range(1, 32)))
"""The noisy tenants; a kind of noise uses the first alone, or all of them."""


def workflow(*tasks: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": "bench", "labels": {"kind": "bench"}},
        "spec": {"tasks": list(tasks), **spec},
    }


def delay(name: str = "t", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "delay", "run": {"seconds": 0}, **more}


def costly_conditions() -> list[dict[str, Any]]:
    """Returns workflows with conditions beyond their time limit: slow patterns and chained loops."""
    text = "".join(random.Random(1).choices("ab", k=900_000))
    digits = ["1"] * 1_900
    chained = "params.l" + ".filter(x, true)" * 100
    return [
        workflow(
            delay(when='params.s.matches("[ab]*b[ab]{60}c")'), params={"s": text}, shards={"count": 100}
        ),
        workflow(delay(when='params.l.all(x, x.matches("^\\\\pL{60}$") || true)'), params={"l": digits}),
        workflow(delay(when=f"{chained}.size() > 0"), params={"l": digits[:1_000]}),
    ]


def slow_conditions() -> list[dict[str, Any]]:
    """Returns a workflow of a hundred shards, each with a slow condition (tens of ms) that is permitted."""
    text = "".join(random.Random(1).choices("ab", k=12_000))
    slow = delay(when='!params.s.matches("[ab]*b[ab]{60}c")')
    return [workflow(slow, params={"s": text}, shards={"count": 100}, priority=7)]


def costly_documents() -> list[dict[str, Any]]:
    """Returns workflows that are slow to check: many conditions over many items, endless placeholders."""
    conditions = [delay(f"t{n}", when=f"shard.item.a != {n}") for n in range(2_000)]
    items = [{"a": n, f"b{n}": n} for n in range(1_000)]
    return [
        workflow(*conditions, shards={"items": items}),
        workflow(delay(), params={"x": "${" * 300_000}),
        workflow({"name": "t", "type": "process", "run": {"command": ["${" * 300_000]}}),
    ]


@dataclass(frozen=True, kw_only=True)
class Noise:
    """One kind of load by noisy tenants: the request that is repeated, and the number of connections."""

    path: str
    connections: int
    method: str = "POST"
    bodies: Sequence[Mapping[str, Any]] = ()
    tenants: int = 1


NOISES = {
    "conditions": lambda: Noise(path="/v1/runs", connections=8, bodies=costly_conditions()),
    "dry runs": lambda: Noise(path="/v1/runs?dryRun=true", connections=8, bodies=costly_documents()),
    "flood": lambda: Noise(path="/v1/runs", connections=64, bodies=[workflow(delay(), priority=7)]),
    # The same work from many: what the flood costs beyond this is one tenant's doing.
    "crowd": lambda: Noise(path="/v1/runs", connections=2, bodies=[workflow(delay())], tenants=len(LOUD)),
    "large run": lambda: Noise(path="", connections=0),
    "lists": lambda: Noise(path="/v1/runs?label=a%3Db", connections=64, method="GET"),
    "slow conditions": lambda: Noise(path="/v1/runs", connections=8, bodies=slow_conditions()),
}
"""The kinds of noise by name, in their order: lists need the flood's runs, slow conditions last minutes."""
