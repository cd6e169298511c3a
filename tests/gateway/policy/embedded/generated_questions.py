"""A bundle of twenty house rules and two hundred tenants, and generated policy inputs for it."""

import random
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.core.decision import Action, Question
from gateway.core.principal import Principal
from gateway.policy.bundle import SHIPPED_POLICIES, Bundle, read_bundle

HOUSE_RULES: Final = Path(__file__).with_name("house_rules.rego")
REGIONS: Final = ("beijing", "shanghai", "shenzhen")
TENANTS: Final = tuple(f"tenant-{number}" for number in range(200))


def rule_set(*, tenants: int = len(TENANTS)) -> Bundle:
    """Returns the shipped rules with twenty house rules, and data with `tenants` tenants."""
    bundle = read_bundle(SHIPPED_POLICIES, None)
    dice = random.Random(7)
    data = {
        "tenants": {
            name: {"regions": dice.sample(REGIONS, dice.randint(0, 3))}
            | ({"max_priority": dice.randint(0, 9)} if dice.random() < 0.7 else {})
            | ({"max_shards": dice.randint(1, 20)} if dice.random() < 0.7 else {})
            | ({"executors": ["process", "delay"]} if dice.random() < 0.3 else {})
            | ({"issuers": ["https://issuer.test"]} if dice.random() < 0.3 else {})
            for name in TENANTS[:tenants]
        },
        "residency": {"public": list(REGIONS), "pii": ["beijing"], "nowhere": []},
        "banned_images": ["docker.io/untrusted/", "ghcr.io"],
        "banned_executors": ["kubernetes"],
        "operators": {"groups": ["/waypost/operators"], "scopes": []},
        "levels": dict.fromkeys(
            ("executor.banned", "house", "image.banned", "image.unreadable", "priority.cap"), "soft"
        )
        | dict.fromkeys(("executor.tenant", "placement.nowhere", "shards.maximum"), "advisory")
        | {f"h{number:02}": ("soft", "advisory")[number % 2] for number in range(1, 21)},
        "house": {
            "budgets": {name: dice.randint(1, 6) for name in TENANTS[:tenants] if dice.random() < 0.8},
            "banned": ["http"],
            "owners": {"etl": "ada", "a": "bob"},
            "names": ["^[a-z0-9-]+$", r"^\w{2,}"],
        },
    }
    modules = (*bundle.source.modules, ("house/house_rules.rego", HOUSE_RULES.read_text()))
    source = msgspec.structs.replace(bundle.source, modules=modules, data=msgspec.json.encode(data).decode())
    return msgspec.structs.replace(bundle, source=source, tests=())


def questions(count: int, *, seed: int) -> list[Question]:
    """Generates policy inputs from a seed: with missing, odd, permitted and excessive fields."""
    dice = random.Random(seed)
    return [_question(dice) for _ in range(count)]


def _question(dice: random.Random) -> Question:
    tenant = dice.choice((*TENANTS, "ghost"))
    action = dice.choice((Action.RUNS_SUBMIT,) * 8 + (Action.RUNS_PLACE, *Action))
    principal = Principal(
        subject="ada",
        issuer=dice.choice(("https://issuer.test", "https://other.test")),
        tenant=tenant,
        client=dice.choice(("ci", "console", "")),
        scopes=tuple(
            scope
            for scope in ("workflows:submit", "workflows:read", "workflows:cancel", "regions:operate")
            if dice.random() < 0.9
        ),
        groups=tuple(
            group for group in ("/waypost/operators", "oncall", "/platform") if dice.random() < 0.15
        ),
    )
    run = {"id": "r", "tenant": dice.choice((tenant, dice.choice(TENANTS))), "subject": "ada"}
    return Question(
        action=action,
        principal=principal,
        at=float(dice.randrange(1_700_000_000, 1_800_000_000)),
        workflow=msgspec.json.encode(_workflow(dice, tenant)) if dice.random() < 0.97 else None,
        context={} if action is Action.RUNS_SUBMIT else {"run": run},
    )


def _workflow(dice: random.Random, tenant: str) -> dict[str, Any]:
    words = ("etl", "ml", "a", "prod-1", "dev", "gold", "")
    labels = {
        name: dice.choice(words) for name in ("team", "cost", "owner", "stage", "tier") if dice.random() < 0.8
    }
    spec: dict[str, Any] = {
        "tasks": [_task(dice, number) for number in range(dice.randint(1, 5))],
        "priority": dice.randint(0, 9),
        "deadlineSeconds": dice.choice((None, 60, 1e5)),
        "dataClass": dice.choice((None, "public", "pii", "nowhere", "unheard-of")),
        "sideEffects": "idempotent",
        "placement": {"regions": dice.sample(REGIONS, dice.randint(0, 2)), "avoid": [], "spread": False},
        "shards": {
            "count": dice.choice((None, 1, 30)),
            "items": dice.choice((None, [1, 2], list(range(25)))),
        },
        "params": dice.choice(({}, {"a": {"b": "my SECRET"}}, {"list": ["secret"]}, {"n": 1.5, "İ": "Σ"})),
    }
    name = dice.choice(("nightly", "Nightly", "x", "größe", "a-b-c", "a b"))
    document = {
        "metadata": {
            "name": name,
            "tenant": dice.choice((tenant, tenant, None, TENANTS[0])),
            "labels": labels,
        }
    }
    return {"apiVersion": "waypost/v1", "kind": "Workflow", **document, "spec": spec}


def _task(dice: random.Random, number: int) -> dict[str, Any]:
    images = (
        "python",
        "untrusted/x@sha256:0a1b2c3d",
        "GHCR.io/a/b",
        "${params.i}",
        "q.test/x@sha256:00000000",
        "é",
    )
    run: dict[str, Any] = {}
    if dice.random() < 0.6:
        run["command"] = dice.choice((["true"], ["curl", "-s"], ["sh", "-c", "x", "y"]))
    if dice.random() < 0.5:
        run["image"] = dice.choice(images)
    task: dict[str, Any] = {
        "name": f"t{number}",
        "type": dice.choice(("process", "docker", "delay", "http", "kubernetes")),
        "run": run,
        "needs": dice.choice(([], ["t0"], ["t9"])),
    }
    if dice.random() < 0.4:
        task["resources"] = {"cpu": 1, "memoryMiB": dice.choice((None, 128, 4096))}
    return task
