"""Runs a real OPA for tests, with the rules that a test gives.

Where there is no OPA, tests that are marked with `needs_opa` are skipped.
"""

import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.cli.dev.opa_process import OpaProcess
from gateway.cli.dev.opa_program import find_opa
from gateway.policy.bundle import Bundle
from gateway.policy.opa.bundle_archive import pack_bundle
from gateway.policy.source import PolicySource

OPA = find_opa()
needs_opa = pytest.mark.opa


def bundle_of(rules: str, data: dict[str, Any] | None = None) -> Bundle:
    """Returns a bundle with `rules` as its submission rules; its revision is computed from both."""
    module = f"package waypost.submission\nimport rego.v1\n{rules}\n"
    text = msgspec.json.encode(data or {}).decode()
    source = PolicySource(modules=(("submission.rego", module),), data=text, entry_points=())
    return Bundle(
        source=source, tests=(), schemas={}, revision=f"{zlib.crc32(msgspec.json.encode(source)):08x}"
    )


def packed(folder: Path, bundle: Bundle) -> Path:
    folder.mkdir(exist_ok=True)
    archive = folder / "bundle.tar.gz"
    archive.write_bytes(pack_bundle(bundle))
    return archive


@asynccontextmanager
async def opa_with(folder: Path, bundle: Bundle) -> AsyncIterator[OpaProcess]:
    """Runs an OPA that holds `bundle`, on a socket in `folder`."""
    assert OPA is not None
    async with OpaProcess(OPA, packed(folder, bundle), folder / "opa.sock", log=folder / "opa.log") as opa:
        yield opa
