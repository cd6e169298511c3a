"""Tests that an engine downloads a missing image where the cluster permits its registry."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from clusters.embedded.executors.docker.container import DockerSettings
from clusters.embedded.executors.docker.executor import DockerExecutor
from clusters.embedded.executors.interface import ExecutorContext
from clusters.embedded.scheduling.launch import Outcome
from tests.clusters.embedded.executors.docker.engines import RealEngine, busybox_files
from tests.conformance.executor import folders, launch

pytestmark = pytest.mark.integration
DOCKER = "application/vnd.docker"
MANIFEST = f"{DOCKER}.distribution.manifest.v2+json"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def registry(engine: RealEngine) -> Iterator[tuple[str, str]]:
    """Serves one image as a registry does; yields the registry's host and the image's digest."""
    files = busybox_files()
    layer = gzip.compress(files, mtime=0)
    content = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"]}}
    config = json.dumps(content | {"rootfs": {"type": "layers", "diff_ids": [digest(files)]}}).encode()
    parts = {f"{DOCKER}.container.image.v1+json": config, f"{DOCKER}.image.rootfs.diff.tar.gzip": layer}
    described = [
        {"mediaType": media_type, "size": len(part), "digest": digest(part)}
        for media_type, part in parts.items()
    ]
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
    ).encode()
    with HTTPServer(host="127.0.0.1", port=engine.registry_port) as server:
        server.expect_request("/v2/").respond_with_data("{}", content_type="application/json")
        place = f"/v2/tests/tool/manifests/{digest(manifest)}"
        headers = {"docker-content-digest": digest(manifest)}
        server.expect_request(place).respond_with_data(manifest, content_type=MANIFEST, headers=headers)
        for part in parts.values():
            server.expect_request(f"/v2/tests/tool/blobs/{digest(part)}").respond_with_data(
                part, content_type="application/octet-stream"
            )
        yield f"127.0.0.1:{engine.registry_port}", digest(manifest)


async def test_a_missing_image_is_downloaded_from_a_permitted_registry(
    engine: RealEngine, registry: tuple[str, str], tmp_path: Path
) -> None:
    """By its digest: what the registry has under a tag is not asked."""
    host, image = registry
    run = {"image": f"{host}/tests/tool@{image}", "command": ["sh", "-c", 'echo 7 > "$WAYPOST_OUTPUT"']}
    context = ExecutorContext(region="beijing", workspaces=tmp_path)
    async with DockerExecutor(context, DockerSettings(socket=engine.socket)) as executor:
        refused = await executor.execute(launch("docker", run), folders(tmp_path), None)
    assert f"permits no download from {host}" in refused.reason
    settings = DockerSettings(socket=engine.socket, registries=(host,))
    async with DockerExecutor(context, settings) as executor:
        outcome = await executor.execute(launch("docker", run), folders(tmp_path), None)
        assert outcome == Outcome(succeeded=True, output=7)
        absent = run | {"image": f"{host}/tests/tool@sha256:{'0' * 64}"}
        outcome = await executor.execute(launch("docker", absent), folders(tmp_path), None)
        assert (outcome.succeeded, outcome.lost) == (False, False)
        assert outcome.reason.startswith(f"cannot run {absent['image']}: ")
