"""Service files for tests: the shipped ones, and a good one that tests change in one place."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.mesh.reading import ServiceCatalog, read_services
from gateway.policy.bundle import SHIPPED_POLICIES

SHIPPED_SERVICES: Final = SHIPPED_POLICIES / "services"
GOOD: Final[dict[str, Any]] = {
    "namespace": "finance",
    "workload": {"app": "finance"},
    "ports": {"http": [8080], "tcp": [5432]},
    "issuers": [{"issuer": "https://a.example", "audiences": ["finance"]}],
    "allow": [
        {"name": "audit", "scopes": ["read:finance"], "paths": ["/ledger"]},
        {
            "name": "database",
            "token": "optional",
            "workloads": ["spiffe://cluster.local/ns/a/sa/b"],
            "ports": [5432],
        },
    ],
}


def shipped() -> ServiceCatalog:
    return read_services(
        {f"services/{path.name}": path.read_bytes() for path in sorted(SHIPPED_SERVICES.glob("*.yaml"))}
    )


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    described = copy.deepcopy(GOOD)
    change(described)
    return described


def catalog(**services: dict[str, Any]) -> ServiceCatalog:
    return read_services({"services/a.yaml": yaml.safe_dump(services).encode()})


def at(folder: Path, **services: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, described in services.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({name: described}))
    return folder
