"""Tests the requests of the documentation against receivers that check what each product documents."""

import hashlib
import hmac
import re
import time
import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from msgspec import structs
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.core.rollback import ReleaseKind
from gateway.rollback.deployments.request import idempotency_key, rollback_request
from gateway.rollback.deployments.sender import send_rollback
from gateway.rollback.deployments.settings_checks import mistakes
from gateway.rollback_settings import ExternalDeployment
from tests.gateway.rollback.rollbacks import a_rollback

PAGE: Final = Path(__file__).parents[4] / "docs" / "deployments.md"
ROLLBACK: Final = a_rollback(
    id=7,
    kind=ReleaseKind.EXTERNAL,
    owner="shop",
    release="shop@1.4.2+b7",
    returns_to="shop@1.4.1",
    revision="1.4.2+b7",
)
KEY: Final = idempotency_key(ROLLBACK)


def documented(product: str) -> ExternalDeployment:
    """Returns the deployment in the section of the page about a product."""
    section = PAGE.read_text().partition(f"\n## {product}\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    (table,) = tomllib.loads(block)["rollback"]["deployments"]
    return msgspec.convert(table, ExternalDeployment)


BEARER: Final = {"authorization": "Bearer s3cret"}
JSON: Final = {"content-type": "application/json"}
SHAPES: Final[dict[str, tuple[str, str, dict[str, str], Any, int]]] = {
    # POST /projects/:id/trigger/pipeline with token, ref and variables: 201
    "GitLab": (
        "POST",
        "/api/v4/projects/42/trigger/pipeline",
        JSON,
        {
            "token": "s3cret",
            "ref": "main",
            "variables": {"ROLLBACK_FROM": "1.4.2+b7", "ROLLBACK_TO": "1.4.1", "ROLLBACK_ID": KEY},
        },
        201,
    ),
    # POST /repos/{owner}/{repo}/dispatches with event_type (at most 100 characters) and client_payload (at
    # most 10 fields): 204; without a User-Agent it is refused.
    "GitHub": (
        "POST",
        "/repos/example/shop/dispatches",
        {
            **BEARER,
            "accept": "application/vnd.github+json",
            "x-github-api-version": "2022-11-28",
            "user-agent": "waypost",
        },
        {
            "event_type": "waypost-rollback",
            "client_payload": {"from": "1.4.2+b7", "to": "1.4.1", "id": KEY},
        },
        204,
    ),
    # POST /api/v1/applications/{name}/sync, ApplicationSyncRequest: 200
    "Argo CD": (
        "POST",
        "/api/v1/applications/shop/sync",
        {**BEARER, **JSON},
        {"revision": "1.4.1", "prune": False, "dryRun": False},
        200,
    ),
    # What `kubectl argo rollouts abort` sends: a merge patch of the status subresource: 200
    "Argo Rollouts": (
        "PATCH",
        "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/shop/status?fieldManager=waypost",
        {**BEARER, "content-type": "application/merge-patch+json"},
        {"status": {"abort": True}},
        200,
    ),
    "Helm": (
        "POST",
        "/helm/rollback",
        JSON,
        {"release": "shop", "namespace": "shop", "from": "1.4.2+b7", "to": "1.4.1"},
        202,
    ),
}


@pytest.mark.parametrize("product", SHAPES)
async def test_the_documented_request_is_what_the_product_takes(
    tmp_path: Path, httpserver: HTTPServer, product: str
) -> None:
    method, path, headers, body, status = SHAPES[product]
    deployment, got = documented(product), list[Request]()
    assert list(mistakes([deployment])) == []
    (tmp_path / "secret").write_text("s3cret\n")

    def take(request: Request) -> Response:
        got.append(request)
        return Response("", status)

    route, _, query = path.partition("?")
    httpserver.expect_request(route, method=method, query_string=query).respond_with_handler(take)
    local = structs.replace(
        deployment,
        url=httpserver.url_for("").rstrip("/") + re.sub(r"^https://[^/]+", "", deployment.url),
        token=None if deployment.token is None else f"file:{tmp_path / 'secret'}",
        key=None if deployment.key is None else f"file:{tmp_path / 'secret'}",
        ca=None,
    )
    answered = await send_rollback(local, ROLLBACK, clock=time.time)

    (request,) = got
    assert answered == status
    assert {name: request.headers[name] for name in headers} == headers
    assert msgspec.json.decode(request.data) == body
    assert request.headers["idempotency-key"] == KEY
    assert ("x-waypost-signature" in request.headers) == (product == "Helm")


def test_a_version_ends_no_part_of_an_address() -> None:
    """A + in a query is a space."""
    deployment = structs.replace(documented("Helm"), url="https://ci.test/$name?to=$version")
    request = rollback_request(deployment, ROLLBACK, token="", key=None, now=0.0)
    assert request.url == "https://ci.test/shop?to=1.4.2%2Bb7"


async def test_the_signature_is_of_timestamp_and_body(tmp_path: Path, httpserver: HTTPServer) -> None:
    (tmp_path / "key").write_text("k3y")

    def check(request: Request) -> Response:
        timestamp = request.headers["x-waypost-timestamp"]
        signed = timestamp.encode() + b":" + request.data
        expected = "sha256=" + hmac.new(b"k3y", signed, hashlib.sha256).hexdigest()
        good = hmac.compare_digest(expected, request.headers["x-hub-signature-256"])
        return Response("", 200 if good and timestamp == "1000000" else 401)

    httpserver.expect_request("/helm/rollback").respond_with_handler(check)
    deployment = structs.replace(
        documented("Helm"),
        url=httpserver.url_for("/helm/rollback"),
        key=f"file:{tmp_path / 'key'}",
        signature_header="X-Hub-Signature-256",
    )
    assert await send_rollback(deployment, ROLLBACK, clock=lambda: 1_000_000.7) == 200
