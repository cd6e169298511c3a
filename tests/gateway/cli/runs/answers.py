"""Pieces of a gateway's JSON answers about runs, for tests."""

from typing import Any


def run(identity: str) -> dict[str, Any]:
    return {
        "id": identity,
        "name": "n",
        "tenant": "demo",
        "phase": "Running",
        "shard_count": 1,
        "created_at": 0.0,
        "subject": "me",
    }


def task(name: str, phase: str = "Succeeded", at: float = 1.0) -> dict[str, Any]:
    return {
        "shard": 0,
        "task": name,
        "phase": phase,
        "region": "b",
        "tries": 1,
        "started_at": at,
        "ended_at": at,
        "reason": "",
    }
