"""Calls of the API that tests of released workflows make."""

from typing import Any

import httpx

WORKFLOWS = "/v1/workflows"


def document(seconds: float = 0, name: str = "nightly", **params: Any) -> dict[str, Any]:
    return {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {
            "params": params,
            "tasks": [{"name": "a", "type": "delay", "run": {"seconds": seconds}}],
        },
    }


async def applied(client: httpx.AsyncClient, *seconds: float, **params: Any) -> None:
    for each in seconds:
        answer = await client.post(WORKFLOWS, json=document(each, **params))
        assert answer.status_code == 201, answer.text


async def step(client: httpx.AsyncClient, which: str, version: int, **body: float) -> httpx.Response:
    etag = (await client.get(f"{WORKFLOWS}/nightly")).headers["etag"]
    path = f"{WORKFLOWS}/nightly/versions/{version}/{which}"
    return await client.post(path, headers={"if-match": etag}, json=body or None)


async def ran(client: httpx.AsyncClient, **body: Any) -> Any:
    answer = await client.post("/v1/runs", json={"workflow": "nightly"} | body)
    assert answer.status_code == 202, answer.text
    return answer.json()
