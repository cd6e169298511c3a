"""Tests the development issuer: its tokens and its key."""

from pathlib import Path

import pytest

from gateway.core.errors import Unauthenticated
from gateway.identity.development_issuer import DEVELOPMENT_ISSUER, development_issuer, mint_token
from gateway.identity.jwt_verification import JwtAuthenticator
from tests.gateway.identity.tokens import ask


async def test_a_development_token_counts_only_where_it_was_asked_for(tmp_path: Path) -> None:
    """Only a gateway that was started with the development issuer accepts its tokens."""
    known = development_issuer(tmp_path / "development")
    presented = mint_token(
        tmp_path / "development", subject="dev", tenant="demo", scopes=("workflows:submit",)
    ).encode()

    async with JwtAuthenticator([known]) as authenticator:
        assert (await ask(authenticator, presented)).issuer == DEVELOPMENT_ISSUER
    async with JwtAuthenticator([]) as authenticator:
        with pytest.raises(Unauthenticated):
            await ask(authenticator, presented)
    assert (tmp_path / "development" / "key.pem").stat().st_mode & 0o077 == 0
