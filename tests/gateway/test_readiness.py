"""Tests what /readyz says of the gateway's certificates."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from gateway.readiness import readiness_checks
from gateway.settings import GatewaySettings, RegionTarget
from waypost.pki import authority


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
