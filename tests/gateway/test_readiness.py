"""Tests what /readyz says of the gateway's certificates and store."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.core.errors import Unavailable
from gateway.readiness import readiness_checks
from gateway.settings import GatewaySettings, RegionTarget
from waypost.pki import authority
from waypost.sqlite_files.errors import StorageError


def certificates(settings: GatewaySettings) -> Any:
    nothing = cast(Any, SimpleNamespace())
    return readiness_checks(settings, nothing, nothing, nothing, nothing, nothing)["certificates"]


async def test_certificates_are_shown_with_their_expiry_and_never_make_it_unready(tmp_path: Path) -> None:
    """A gateway whose certificate has expired still accepts work, which is placed once it is renewed."""
    authority.create_root(tmp_path)
    authority.issue_gateway(tmp_path, days=30)
    region = RegionTarget(name="beijing", url="embedded+https://127.0.0.1:1")
    check = certificates(GatewaySettings(pki=str(tmp_path), regions=(region,)))
    assert (await check()).startswith("ca expires 20")
    assert ", gateway expires 20" in await check()

    (tmp_path / "gateway.pem").unlink()
    assert await check() == (
        f"those read before are in use: {tmp_path}/gateway.pem cannot be read: No such file or directory"
    )
    authority.issue_gateway(tmp_path, days=0)
    assert ", gateway EXPIRED 20" in await check()


async def test_a_gateway_without_certificates_says_so() -> None:
    assert await certificates(GatewaySettings())() == "none are used"


@pytest.mark.parametrize("outage", ["", "cannot write to gateway.db: disk I/O error: the disk is full"])
async def test_a_store_that_takes_no_writes_says_why(outage: str) -> None:
    """Who is called at night sees the full disk here, and need not find the line in the log."""

    async def check_writable() -> None:
        cause = StorageError("cannot write to gateway.db: disk I/O error: the disk is full")
        raise Unavailable("the store does not take writes") from cause

    nothing = cast(Any, SimpleNamespace())
    store = cast(Any, SimpleNamespace(check_writable=check_writable))
    controller = cast(Any, SimpleNamespace(outage=outage))
    checks = readiness_checks(GatewaySettings(), store, nothing, nothing, controller, nothing)
    with pytest.raises(Unavailable, match=r"write.*: cannot write to gateway\.db: .* the disk is full"):
        await checks["store"]()
