"""Tests where the values of secrets come from: files and variables that an operator has put there."""

from pathlib import Path

import pytest

from clusters.embedded.secrets.providers import SecretProvider, SecretSettings
from clusters.embedded.secrets.values import Secrets, SecretUnusable
from waypost.workflow.secrets import SecretSpec

VALUE = "finch-in-the-hedge"


def read(settings: SecretSettings, source: str, form: str = "env", **environment: str) -> Secrets:
    spec = SecretSpec(name="A", source=source, form=form)  # type: ignore[arg-type]
    return SecretProvider(settings, environment).read([spec])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secrets" / "db").mkdir(parents=True)
    (tmp_path / "secrets" / "db" / "password").write_text(f"{VALUE}\n")
    return tmp_path / "secrets"


def test_a_secret_is_a_file_without_the_end_of_its_line(folder: Path) -> None:
    """Editors and `echo` write one; a secret that is a file for the task is as it is."""
    settings = SecretSettings(files=str(folder))

    assert read(settings, "db/password").environment == {"A": VALUE.encode()}
    assert read(settings, "db/password", "file").files == {"A": f"{VALUE}\n".encode()}


def test_a_value_that_was_changed_counts_at_the_next_try(folder: Path) -> None:
    provider = SecretProvider(SecretSettings(files=str(folder)))
    spec = SecretSpec(name="A", source="db/password")
    before = provider.read([spec])
    (folder / "db" / "password").write_text("another-finch")

    assert before.environment != provider.read([spec]).environment == {"A": b"another-finch"}


def test_links_within_the_folder_are_followed_and_no_others(folder: Path, tmp_path: Path) -> None:
    """Kubernetes mounts secrets as links; a link that leads elsewhere shows what is no secret."""
    (tmp_path / "journal.db").write_text("not for tasks")
    (folder / "link").symlink_to("db/password")
    (folder / "out").symlink_to(tmp_path / "journal.db")
    settings = SecretSettings(files=str(folder))

    assert read(settings, "link").environment == {"A": VALUE.encode()}
    with pytest.raises(SecretUnusable, match="no secret out"):
        read(settings, "out")


@pytest.mark.parametrize(
    ("source", "variable"), [("db/password", "S_DB__PASSWORD"), ("root_token", "S_ROOT_TOKEN")]
)
def test_a_secret_may_be_a_variable_of_the_cluster(source: str, variable: str) -> None:
    settings = SecretSettings(environment="S_")

    assert read(settings, source, **{variable: VALUE}).environment == {"A": VALUE.encode()}


@pytest.mark.parametrize(
    "source", ["db.password", "db-password", "DB/PASSWORD", "db__password", "db_/password"]
)
def test_no_two_secrets_are_the_same_variable(source: str) -> None:
    """Policy permits names: one must not stand for another's value."""
    settings = SecretSettings(environment="S_")

    with pytest.raises(SecretUnusable, match="this region has no secret"):
        read(settings, source, S_DB__PASSWORD=VALUE, S_DB_PASSWORD=VALUE)


@pytest.mark.parametrize(
    ("content", "form", "why"),
    [
        (b"short\n", "env", "under 8 bytes"),
        (b"x" * 20_000, "env", "more than 16 KiB"),
        (b"binary\0value", "env", "take it as a file"),
    ],
)
def test_what_cannot_be_given_or_masked_is_refused_without_its_value(
    folder: Path, content: bytes, form: str, why: str
) -> None:
    (folder / "odd").write_bytes(content)

    with pytest.raises(SecretUnusable, match=why) as refused:
        read(SecretSettings(files=str(folder)), "odd", form)
    assert content.decode()[:5] not in str(refused.value)


def test_a_folder_is_no_secret_and_nothing_is_shown_of_values(folder: Path) -> None:
    settings = SecretSettings(files=str(folder))
    with pytest.raises(SecretUnusable, match="this region has no secret db"):
        read(settings, "db")

    found = read(settings, "db/password")
    assert VALUE not in f"{found} {found!r} {found.mask!r}"


def test_settings_that_lead_nowhere_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no folder"):
        SecretSettings(files=str(tmp_path / "missing"))
    with pytest.raises(ValueError, match="capitals"):
        SecretSettings(environment="secret")
