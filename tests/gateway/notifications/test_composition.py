"""Tests that a gateway sends notifications if its settings say to whom, and with which key."""

from pathlib import Path

import pytest
from msgspec import structs

from gateway.app import compose
from gateway.ended_run_settings import NotificationSettings
from gateway.settings import GatewaySettings, Secret
from gateway.start_error import StartError


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    return GatewaySettings(
        store=Secret(f"sqlite:{tmp_path / 'gateway.db'}"), development=str(tmp_path / "dev")
    )


async def test_notifications_are_sent_where_hosts_are_listed(settings: GatewaySettings) -> None:
    """With a key alone, since receivers have to know whom a message is from."""
    async with compose(settings) as gateway:
        assert "notifications" not in gateway.loops
    listed = NotificationSettings(egress=("hooks.example.com",))
    with pytest.raises(StartError, match=r"notifications\.key"):
        async with compose(structs.replace(settings, notifications=listed)):
            pass
    signed = structs.replace(listed, key=Secret("whsec_c2VjcmV0"))
    async with compose(structs.replace(settings, notifications=signed)) as gateway:
        assert "notifications" in gateway.loops
