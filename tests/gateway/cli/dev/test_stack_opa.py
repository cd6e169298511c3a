"""Tests the OPA of a stack: its first rules, and when a newer bundle is made."""

from pathlib import Path

import pytest
from msgspec import structs

from gateway.cli.dev.log_errors import why_no_start
from gateway.cli.dev.stack import Stack
from gateway.cli.dev.stack_opa import DATABASE, RELEASES, RULES, StackOpa, polling_configuration
from gateway.cli.errors import CliError
from gateway.policy.bundle import SHIPPED_POLICIES, read_bundle
from gateway.policy.opa.bundle_archive import pack_bundle, unpack
from gateway.policy.opa.bundle_signature import read_signing_key, read_verification_key, sign, verify
from gateway.policy.rollout.bundle_states import BundleState, Rollout
from gateway.store.sqlite.store import SqliteStore
from tests.conformance.store_rollout import ENTRY, rollout
from tests.gateway.policy.rollout.releases import rules
from waypost.sqlite_group_commit import Database

DATA = (SHIPPED_POLICIES / "data.json").read_text() + "\n"


def own_rules(folder: Path) -> dict[str, str]:
    """Writes own rules and data, and returns the settings that name them."""
    folder.mkdir()
    for name, text in rules("own").items():
        (folder / name).write_text(text)
    (folder / "own.json").write_text(DATA)
    return dict(zip(RULES, (str(folder), str(folder / "own.json")), strict=True))


def sequence_of(opa: StackOpa) -> int:
    return verify(opa.release.read_bytes(), read_verification_key(opa.public_key, "waypost")).sequence


def test_its_first_release_has_the_rules_that_the_gateways_settings_name(tmp_path: Path) -> None:
    """Another engine must not mean other rules. Nobody else reads any of its files."""
    opa = StackOpa(Path("opa"), tmp_path, own_rules(tmp_path / "rules"))
    files = unpack(opa.release.read_bytes())
    assert (files["access.rego"].decode(), files["data.json"].decode()) == (rules("own")["access.rego"], DATA)
    assert all(path.stat().st_mode & 0o077 == 0 for path in opa.folder.iterdir())


def test_another_start_makes_another_release_of_other_rules_alone(tmp_path: Path) -> None:
    """The same release is no news to the gateway; other rules are the next one, for the same key."""
    settings = own_rules(tmp_path / "rules")
    opa = StackOpa(Path("opa"), tmp_path, settings)
    first = opa.release.read_bytes()
    assert sequence_of(opa) == 0
    assert StackOpa(Path("opa"), tmp_path, settings).release.read_bytes() == first
    (tmp_path / "rules" / "access.rego").write_text(rules("other")["access.rego"])
    assert sequence_of(StackOpa(Path("opa"), tmp_path, settings)) == 1
    opa.release.write_bytes(b"damaged")
    assert sequence_of(StackOpa(Path("opa"), tmp_path, settings)) == 0


def test_the_gateway_of_such_a_stack_is_not_given_them(tmp_path: Path) -> None:
    """It would refuse to start with rules that it does not evaluate."""
    settings = {**own_rules(tmp_path / "rules"), "WAYPOST_OTHER": "1"}
    stack = Stack(tmp_path, (), settings=settings)
    assert RULES[0] in stack._environment("gateway")
    stack.opa = StackOpa(Path("opa"), tmp_path, settings)
    assert stack._environment("gateway").keys() & {*RULES, "WAYPOST_OTHER"} == {"WAYPOST_OTHER"}


@pytest.mark.parametrize("rego", [None, "package x\nx := http.send({})\n"])
def test_rules_that_are_no_bundle_are_named(tmp_path: Path, rego: str | None) -> None:
    """As `waypost policy check` names them: the gateway, which would not start, has them in its log alone."""
    (tmp_path / "rules").mkdir()
    if rego is not None:
        (tmp_path / "rules" / "own.rego").write_text(rego)
        (tmp_path / "rules" / "data.json").write_text(DATA)
    with pytest.raises(CliError, match="the rules are no bundle") as refused:
        StackOpa(Path("opa"), tmp_path, {RULES[0]: str(tmp_path / "rules")})
    assert ("http.send" if rego else "there are no rules here") in refused.value.lines[0]


async def keep(folder: Path, archive: bytes, state: BundleState) -> None:
    """Writes a stack's database with bundle 7 in `state`, as its gateway does."""
    release = structs.replace(rollout(1, 7).releases[0], state=state)
    async with SqliteStore(Database(folder / DATABASE)) as store:
        kept = Rollout(generation=1, releases=(release,))
        assert await store.write_rollout(kept, entry=ENTRY, archive=archive)


async def test_what_was_rolled_back_does_not_keep_its_release_from_being_newer(tmp_path: Path) -> None:
    """The gateway would refuse it, activate nothing, and not start. Each start then keeps it."""
    await keep(tmp_path, b"any", BundleState.ROLLED_BACK)
    settings = own_rules(tmp_path / "rules")
    assert [sequence_of(StackOpa(Path("opa"), tmp_path, settings)) for _ in range(2)] == [8, 8]


@pytest.mark.parametrize("signed", [False, True])
async def test_an_active_bundle_that_opa_would_not_take_is_refused_at_the_start(
    tmp_path: Path, signed: bool
) -> None:
    """With what to type: OPA would wait for rules until the start is given up."""
    settings = own_rules(tmp_path / "rules")
    opa = StackOpa(Path("opa"), tmp_path, settings)
    shipped = pack_bundle(read_bundle(SHIPPED_POLICIES, None), sequence=7)
    key = read_signing_key(opa.folder / "policy.key", "waypost")
    await keep(tmp_path, sign(shipped, key) if signed else shipped, BundleState.ACTIVE)
    if signed:
        assert sequence_of(StackOpa(Path("opa"), tmp_path, settings)) == 0
        return
    with pytest.raises(CliError, match="bundle 7 is active, and not signed with this stack's key") as refused:
        StackOpa(Path("opa"), tmp_path, settings)
    assert "waypost policy build RULES -f policy.tar.gz --sequence 8" in refused.value.lines[1]


async def test_a_bundle_that_is_tried_out_while_none_is_active_is_refused(tmp_path: Path) -> None:
    """The release could not be activated beside it."""
    await keep(tmp_path, b"any", BundleState.CANARY)
    with pytest.raises(CliError, match="bundle 7 is in Canary and none is active"):
        StackOpa(Path("opa"), tmp_path, own_rules(tmp_path / "rules"))


def test_why_a_process_did_not_start_is_what_its_log_says_last(tmp_path: Path) -> None:
    """Not what an earlier start has said, nor each line as often as it was tried."""
    log, before = tmp_path / "x.log", '{"level": "ERROR", "message": "old"}\n'
    again = '{"level": "error", "msg": "no rules"}\n' * 2
    log.write_text(f'{before}words\n{{"level": "INFO", "message": "fine"}}\n{again}')
    assert why_no_start(log, since=len(before)) == ("no rules", f"Its log: {log}")
    assert why_no_start(tmp_path / "none") == (f"Its log: {tmp_path / 'none'}",)


@pytest.mark.parametrize("name", RELEASES)
def test_settings_that_name_other_releases_are_refused(tmp_path: Path, name: str) -> None:
    """Its own would not be signed for another key; a setting that is passed over would surprise."""
    with pytest.raises(CliError, match=name) as refused:
        StackOpa(Path("opa"), tmp_path, {name: "x"})
    assert str(tmp_path / "opa" / "policy.key") in refused.value.lines[0]


def test_the_example_in_the_documentation_is_what_it_gets() -> None:
    """What is tried out here is what is recommended there."""
    config = polling_configuration("http://127.0.0.1:9090", "PEM")
    assert config["bundles"] == {
        "policy": {
            "service": "waypost",
            "resource": "/bundles/policy.tar.gz",
            "signing": {"keyid": "waypost"},
            "polling": {"min_delay_seconds": 1, "max_delay_seconds": 2, "long_polling_timeout_seconds": 30},
        }
    }


def test_it_is_started_again_by_hand_as_it_was_started(tmp_path: Path) -> None:
    """With the same environment, and no more of it: rules can print it."""
    stack = Stack(tmp_path, ())
    stack.opa = StackOpa(Path("opa"), tmp_path, {})
    assert stack.start_command("opa")[:5] == ["env", "-i", "GOGC=400", "opa", "run"]
