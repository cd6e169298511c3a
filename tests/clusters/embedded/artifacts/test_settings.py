"""Tests the settings of storages, which decide where artifacts of tasks may come from and go to."""

import pytest

from clusters.embedded.artifacts import settings as module
from clusters.embedded.artifacts.messages import Credentials
from clusters.embedded.artifacts.settings import StorageSettings, artifact_settings


def test_storages_are_read_from_options() -> None:
    found = artifact_settings(
        {
            "exports": {"folder": "/srv/exports/"},
            "backups": {"endpoint": "https://s3.test", "bucket": "b", "prefix": "w/", "write": "true"},
        },
        {"mib": "5"},
    )
    assert (found.mib, found.seconds, found.storages["exports"].write) == (5, 3600.0, False)
    assert found.storages["backups"].write
    assert found.storages["exports"].address("a b/c.csv") == "file:///srv/exports/a%20b/c.csv"
    assert found.storages["backups"].address("a b/c.csv") == "s3://b/w/a b/c.csv"
    assert [str(folder) for folder in found.folders] == ["/srv/exports"]


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({}, "a storage has a folder, or an endpoint with a bucket"),
        (
            {"folder": "/a", "endpoint": "https://s3.test"},
            "a storage has a folder, or an endpoint with a bucket",
        ),
        ({"folder": "exports"}, "folder is no absolute path"),
        ({"folder": "/a", "bucket": "b"}, "a folder has no bucket, prefix, keys or ca_file"),
        ({"endpoint": "https://s3.test"}, "an endpoint needs a bucket"),
        ({"endpoint": "s3.test", "bucket": "b"}, "endpoint is no URL such as https://s3.example.com"),
        (
            {"endpoint": "https://me:x@s3.test", "bucket": "b"},
            "endpoint is no URL such as https://s3.example.com",
        ),
        ({"endpoint": "http://s3.test", "bucket": "b"}, "endpoint has no TLS; plain_http permits that"),
        (
            {"endpoint": "https://s3.test", "bucket": "b", "access_key": "a"},
            "access_key and secret_key go together",
        ),
        (
            {"endpoint": "https://s3.test", "bucket": "b", "prefix": "../"},
            "prefix is no beginning of keys such as waypost/",
        ),
        ({"folder": "/a", "rights": "all"}, "there is no setting rights; "),
        ({"folder": "/a", "write": "perhaps"}, "write: Expected `bool`, got `str`"),
    ],
)
def test_what_is_no_storage_is_refused_at_the_start(table: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError) as refused:
        artifact_settings({"exports": table}, {})
    assert str(refused.value).startswith(f"the storage exports: {why}")


@pytest.mark.parametrize(
    "bounds", [{"mib": "0"}, {"seconds": "0"}, {"transfers": "0"}, {"mib": "x"}, {"gib": "1"}]
)
def test_transfers_are_bounded(bounds: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        artifact_settings({}, bounds)


def test_an_endpoint_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"pip install 'waypost\[s3\]'"):
        StorageSettings(endpoint="https://s3.test", bucket="b")


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9000", "http://localhost", "http://[::1]:9"])
def test_this_machine_is_called_without_tls(endpoint: str) -> None:
    assert StorageSettings(endpoint=endpoint, bucket="b").kind == "s3"


def test_credentials_are_not_shown() -> None:
    assert "quiet" not in repr(Credentials(access_key="quiet", secret_key="quiet"))
