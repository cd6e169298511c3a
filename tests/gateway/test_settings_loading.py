"""Tests that settings are read once, and that nothing in them is guessed or ignored."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import inspect

from gateway.settings import ApiTls, GatewaySettings, RegionTarget, Secret
from gateway.settings_loading import SettingsError, load_settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.toml"
    file.write_text(
        'store = "sqlite:a.db"\n[health]\nfailures_down = 4\n[[regions]]\nname = "beijing"\nurl = "embedded+https://b:1"\n'
    )
    return file


def test_nothing_set_is_the_default() -> None:
    """A gateway starts without a file; what belongs to others in the environment is left alone."""
    assert (
        load_settings(None, {"HOME": "/", "WAYPOST_SHARED": "../shared", "WAYPOST_TOKEN": "x"})
        == GatewaySettings()
    )


def test_a_file_is_read(file: Path) -> None:
    """Groups are tables, lists are arrays of tables."""
    settings = load_settings(file, {})

    assert (settings.store.reveal(), settings.health.failures_down) == ("sqlite:a.db", 4)
    assert settings.regions == (RegionTarget(name="beijing", url="embedded+https://b:1"),)


def test_the_environment_wins(file: Path) -> None:
    """One image, one file, many places: what differs is set outside."""
    environment = {
        "WAYPOST_STORE": "sqlite:b.db",
        "WAYPOST_HEALTH__FAILURES_DOWN": "5",
        "WAYPOST_TLS": '{"certificate": "c.pem", "key": "k.pem"}',
        "WAYPOST_TLS__KEY": "other.pem",
        "WAYPOST_REGIONS": '[{"name": "shanghai", "url": "embedded+https://s:1", "weight": 2}]',
    }
    settings = load_settings(file, environment)

    assert (settings.store.reveal(), settings.health.failures_down) == ("sqlite:b.db", 5)
    assert settings.tls == ApiTls(certificate="c.pem", key="other.pem")
    assert settings.regions == (RegionTarget(name="shanghai", url="embedded+https://s:1", weight=2.0),)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"WAYPOST_STORES": "x"}, "WAYPOST_STORES; did you mean WAYPOST_STORE?"),
        ({"WAYPOST_HEALTH__PROBE_INTERVAL": "1"}, "did you mean WAYPOST_HEALTH__PROBE_INTERVAL_SECONDS?"),
        ({"WAYPOST_LISTEN__PORT__X": "1"}, "WAYPOST_LISTEN__PORT__X"),
        ({"WAYPOST_LISTEN__PORT": "many"}, "listen.port"),
        ({"WAYPOST_LISTEN__PORT": "70000"}, "listen.port"),
        ({"WAYPOST_REGIONS": "beijing"}, "not JSON"),
        ({"WAYPOST_REGIONS": '[{"nam": "beijing"}]'}, "did you mean name?"),
        ({"WAYPOST_LISTEN": "1", "WAYPOST_LISTEN__PORT": "1"}, "group of settings"),
    ],
)
def test_what_is_not_understood_stops_the_start(environment: dict[str, str], words: str) -> None:
    """A misspelt limit that is ignored is no limit: the error names it, and what was probably meant."""
    with pytest.raises(SettingsError) as error:
        load_settings(None, environment)

    assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[helth]\n", "did you mean health?"),
        ("[health]\nfailures = 1\n", "health.failures; did you mean failures_down?"),
        ('[[regions]]\nname = "b"\nurl = "x"\nwheight = 1\n', "did you mean weight?"),
        ("store =", "not TOML"),
        ("[health]\nfailures_down = true\n", "health.failures_down"),
    ],
)
def test_a_file_is_held_to_the_same(tmp_path: Path, text: str, words: str) -> None:
    """Unknown names in a file stop the start as well, wherever they are."""
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        load_settings(file, {})

    assert words in str(error.value)


def test_a_bad_value_is_told_by_where_it_comes_from(tmp_path: Path) -> None:
    """The file or the variable that has to be mended."""
    file = tmp_path / "gateway.toml"
    file.write_text("[health]\nfailures_down = true\n")
    with pytest.raises(SettingsError, match=re.escape(f"{file}: Expected `int`")):
        load_settings(file, {})
    with pytest.raises(SettingsError, match=r"^WAYPOST_HEALTH__PROBE_INTERVAL_SECONDS: Expected `float`"):
        load_settings(None, {"WAYPOST_HEALTH__PROBE_INTERVAL_SECONDS": "x"})


def _numbers(known: inspect.Type, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yields the path of every setting that is a number."""
    match known:
        case inspect.IntType() | inspect.FloatType():
            yield at
        case inspect.StructType():
            for field in known.fields:
                yield from _numbers(field.type, (*at, field.name))
        case inspect.UnionType():
            for option in known.types:
                yield from _numbers(option, at)
        case inspect.VarTupleType():
            yield from _numbers(known.item_type, (*at, "0"))


NUMBERS = tuple(_numbers(inspect.type_info(GatewaySettings)))
REQUIRED = {"issuers": {"url": "https://a.test"}, "regions": {"name": "a", "url": "x"}}
REQUIRED["deployments"] = dict.fromkeys(("name", "deployed", "total", "bad", "url"), "a")


@pytest.mark.parametrize("path", NUMBERS, ids=".".join)
@pytest.mark.parametrize("number", ["nan", "inf", "-1", "-0.5", "-inf"])
def test_no_setting_is_infinite_or_negative(path: tuple[str, ...], number: str) -> None:
    """Compared with such a number a time is never over, or always: the gateway would start all the same."""
    group, name = path[0], path[-1]
    if "0" in path:
        *groups, group = path[: path.index("0")]
        variable, value = "__".join([*groups, group]), json.dumps([REQUIRED[group] | {name: number}])
    else:
        variable, value = "__".join(path), number
    with pytest.raises(SettingsError) as error:
        load_settings(None, {f"WAYPOST_{variable.upper()}": value})

    assert f"WAYPOST_{variable.upper()}" in str(error.value)
    assert name in str(error.value)
    assert (group != "issuers") or "issuer https://a.test" in str(error.value)


def test_the_numbers_of_lists_and_groups_are_all_there() -> None:
    """Of what would not be found nothing would be tried."""
    assert len(NUMBERS) > 70
    assert {("regions", "0", "weight"), ("issuers", "0", "keys_pause_seconds"), ("health", "jitter")} <= set(
        NUMBERS
    )


@pytest.mark.parametrize(
    "setting", ["HEALTH__PROBE_INTERVAL_SECONDS", "PLACING__BATCH", "PLACING__LOOK_SECONDS"]
)
def test_a_pause_or_a_batch_is_not_nothing(setting: str) -> None:
    """A loop would go round without a pause, or place nothing."""
    with pytest.raises(SettingsError):
        load_settings(None, {f"WAYPOST_{setting}": "0"})


def test_a_file_that_is_not_there_is_named() -> None:
    """Starting with defaults instead would be a surprise."""
    with pytest.raises(SettingsError, match="No such file"):
        load_settings(Path("absent.toml"), {})


def test_a_secret_is_not_shown() -> None:
    """Not by printing the settings, nor by formatting them into a message."""
    settings = load_settings(None, {"WAYPOST_STORE": "postgresql://u:swordfish@h/d"})

    assert "swordfish" not in f"{settings} {settings.store} {settings.store!r} {settings.store!s:>5}"
    assert settings.store == Secret("postgresql://u:swordfish@h/d")
