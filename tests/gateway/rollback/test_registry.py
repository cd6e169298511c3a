"""Tests that each kind of release is complete: it can be rolled back, and has settings of its own."""

import msgspec
from msgspec import structs

from gateway.core.rollback import ReleaseKind
from gateway.rollback.registry import RELEASES
from gateway.rollback_settings import ReleaseKindSettings, RollbackSettings


def test_every_kind_of_release_can_be_rolled_back() -> None:
    """An alert about a kind without an entry would be settled and nobody would know."""
    assert set(RELEASES) == set(ReleaseKind)


def test_every_kind_of_release_has_its_settings() -> None:
    """What is not set for a kind is as it is for all; a kind differs in what it sets alone."""
    own = ReleaseKindSettings(mode="on", requests=7)
    for kind in ReleaseKind:
        settings = structs.replace(RollbackSettings(), **{kind: own})
        assert settings.of(kind) == structs.replace(settings, mode="on", requests=7)
        assert RollbackSettings().of(kind) == RollbackSettings()


def test_kinds_after_the_first_stay_off_until_they_are_turned_on() -> None:
    """An upgrade rolls nothing back that it did not before, also where another field of theirs is set."""
    text = b"[rollback]\nmode = 'on'\n[rollback.workflow]\nrequests = 7\n"
    settings = msgspec.toml.decode(text, type=dict[str, RollbackSettings])["rollback"]
    modes = {kind: settings.of(kind).mode for kind in ReleaseKind}
    assert modes == {kind: "on" if kind is ReleaseKind.POLICY else "off" for kind in ReleaseKind}
    assert settings.of("workflow").requests == 7


def test_what_a_kind_sets_is_a_setting_of_all() -> None:
    assert set(ReleaseKindSettings.__struct_fields__) < set(RollbackSettings.__struct_fields__)
