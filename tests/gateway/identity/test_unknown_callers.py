"""Tests that requests without a valid token are rate limited by their address."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import TooManyRequests, Unauthenticated
from gateway.identity import jwt_verification
from gateway.identity.interface import RequestCredentials
from gateway.identity.jwt_verification import JwtAuthenticator
from gateway.identity.unknown_callers import BURST, RATE, WAIT_SECONDS, UnknownCallers
from tests.gateway.identity.tokens import NOW, OTHER_EC, Clock, ask, issuer, token

ATTACKER, OTHERS = "10.0.0.1", "10.0.0.2"


class Waits:
    """A fake sleep that records how long each request waits."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
def callers(clock: Clock, waits: Waits) -> UnknownCallers:
    return UnknownCallers(clock=clock, sleep=waits)


async def flood(authenticator: JwtAuthenticator, count: int) -> Counter[str]:
    """Sends `count` tokens signed with a wrong key, and counts the outcomes."""
    outcomes = Counter[str]()
    for index in range(count):
        try:
            await ask(authenticator, token(OTHER_EC, jti=str(index)), address=ATTACKER)
        except (Unauthenticated, TooManyRequests) as error:
            outcomes[error.reason] += 1
    return outcomes


async def test_who_sends_bad_tokens_waits_and_then_no_signature_is_looked_at(
    tmp_path: Path, callers: UnknownCallers, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signature takes a tenth of a millisecond to check, and everybody waits meanwhile."""
    check, checked = jwt_verification.check_signature, list[bytes]()

    def check_noting(presented: bytes, *more: Any) -> None:
        checked.append(presented)
        check(presented, *more)

    monkeypatch.setattr(jwt_verification, "check_signature", check_noting)
    async with JwtAuthenticator(
        [issuer(tmp_path)], clock=Clock(NOW), unknown_callers=callers
    ) as authenticator:
        outcomes = await flood(authenticator, 600)
        await ask(authenticator, token(), address=OTHERS)  # it waits for none of them

    waiting = int(RATE * WAIT_SECONDS)
    assert outcomes == {"InvalidToken": BURST + waiting, "TooManyRequests": 600 - BURST - waiting}
    assert len(checked) == BURST + waiting + 1
    assert waits.seconds[:waiting] == [pytest.approx(n / RATE) for n in range(1, waiting + 1)]
    refused = waits.seconds[waiting:]
    assert refused == [WAIT_SECONDS] * outcomes["TooManyRequests"], "whoever waits in vain asks no sooner"


async def test_a_token_that_is_known_waits_for_nothing(
    tmp_path: Path, callers: UnknownCallers, waits: Waits
) -> None:
    """Behind a proxy all callers have one address."""
    async with JwtAuthenticator(
        [issuer(tmp_path)], clock=Clock(NOW), unknown_callers=callers
    ) as authenticator:
        known = token()
        await ask(authenticator, known, address=ATTACKER)
        await flood(authenticator, 600)
        waits.seconds.clear()
        await ask(authenticator, known, address=ATTACKER)
        assert waits.seconds == []
        with pytest.raises(TooManyRequests) as refused:
            await authenticator.authenticate(RequestCredentials(authorization=(), address=ATTACKER))
        assert refused.value.retry_after_seconds == pytest.approx(WAIT_SECONDS, abs=0.1)


async def test_good_tokens_cost_their_address_nothing(
    tmp_path: Path, callers: UnknownCallers, waits: Waits
) -> None:
    """A thousand callers behind one proxy may come at once."""
    async with JwtAuthenticator(
        [issuer(tmp_path)], clock=Clock(NOW), unknown_callers=callers
    ) as authenticator:
        for index in range(400):
            await ask(authenticator, token(jti=str(index)), address=OTHERS)
    assert waits.seconds == []


async def test_an_address_recovers_with_time(callers: UnknownCallers, clock: Clock, waits: Waits) -> None:
    """A fleet with an expired token is slowed, not locked out."""
    for _ in range(int(BURST) + 5):
        await callers.wait(ATTACKER)
    assert len(waits.seconds) == 5
    clock.at += 1.0
    for _ in range(int(RATE) - 5):
        await callers.wait(ATTACKER)
    assert len(waits.seconds) == 5


async def test_a_network_of_ipv6_is_one_address(callers: UnknownCallers, waits: Waits) -> None:
    """Each host has 2^64 of them."""
    for host in range(int(BURST) + 1):
        await callers.wait(f"2001:db8::{host:x}%eth0")
    assert len(waits.seconds) == 1
    await callers.wait("2001:db8:0:1::1")
    assert len(waits.seconds) == 1


async def test_addresses_are_forgotten(callers: UnknownCallers, clock: Clock) -> None:
    """Somebody with many addresses must not fill the memory."""
    for host in range(10_000):
        await callers.wait(f"10.1.{host // 256}.{host % 256}")
    clock.at += BURST / RATE
    await callers.wait(OTHERS)
    assert repr(callers) == "<UnknownCallers at 1 addresses>"


async def test_what_must_not_be_refused_waits_for_its_like_alone(
    tmp_path: Path, callers: UnknownCallers, waits: Waits
) -> None:
    """A cancellation is never shed, also with a new token from an address that floods."""
    async with JwtAuthenticator(
        [issuer(tmp_path)], clock=Clock(NOW), unknown_callers=callers
    ) as authenticator:
        await flood(authenticator, 600)
        waits.seconds.clear()
        await ask(authenticator, token(), address=ATTACKER, sheds=False)
        assert waits.seconds == []
        for _ in range(600):
            await callers.wait(ATTACKER, sheds=False)
        await ask(authenticator, token(jti="new"), address=ATTACKER, sheds=False)
    assert waits.seconds[-1] == WAIT_SECONDS == max(waits.seconds)
