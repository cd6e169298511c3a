"""Tests that a kind of store is one registry entry, and that its URL is shown to nobody."""

import traceback
from pathlib import Path

import pytest

from gateway import app
from gateway.app import StoreKind, compose
from gateway.settings import GatewaySettings, Secret
from gateway.start_error import StartError
from gateway.store.interface import Store
from gateway.store.sqlite.store import SqliteStore
from waypost.sqlite_group_commit import Database


async def test_another_store_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address comes to it whole."""
    addresses = []

    def make(address: str) -> SqliteStore:
        addresses.append(address)
        return SqliteStore(Database(tmp_path / "other.db"))

    monkeypatch.setattr(app, "STORES", {**app.STORES, "other": StoreKind(form="other://HOST", make=make)})
    async with compose(GatewaySettings(store=Secret("other://u:p@h/d"))):
        assert addresses == ["//u:p@h/d"]


async def test_an_address_that_a_store_refuses_stops_the_start_and_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither in the error nor in a traceback: a password may be in it."""

    def make(address: str) -> Store:
        raise ValueError(f"no port in {address}")

    monkeypatch.setattr(app, "STORES", {"other": StoreKind(form="other://HOST:PORT", make=make)})
    with pytest.raises(
        StartError, match="store cannot be used; it has the form other://HOST:PORT"
    ) as refused:
        async with compose(GatewaySettings(store=Secret("other://ada:swordfish@h/db"))):
            pass
    assert "no port" not in "".join(traceback.format_exception(refused.value))
