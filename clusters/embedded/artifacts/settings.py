"""The settings of a cluster's storages: where the artifacts of tasks may come from and go to."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from msgspec import Struct

from clusters.plugin_settings import plugin_settings
from waypost.workflow.artifacts import STORAGE, ArtifactKind, path_fault

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class StorageSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one storage: a folder, or a bucket of an S3 endpoint.

    Creating them raises `ValueError` where they are no storage.
    """

    folder: str | None = None
    """The absolute path of a folder, for artifacts that are a `file`; None for a bucket."""
    endpoint: str | None = None
    """The URL of the S3 API, such as `https://s3.example.com`; its host alone is ever called."""
    bucket: str | None = None
    prefix: str = ""
    """What all keys begin with, such as `waypost/`."""
    region: str = "us-east-1"
    """The region that requests are signed for."""
    access_key: str | None = None
    """The name of the cluster's secret with the id of the access key; None: requests are not signed."""
    secret_key: str | None = None
    """The name of the cluster's secret with the access key itself."""
    ca_file: str | None = None
    """A PEM file with the certificates that the endpoint's one is checked against; None: the public ones."""
    plain_http: bool = False
    """Whether an endpoint on another machine may be called without TLS."""
    write: bool = False
    """Whether targets may be stored there; sources may be fetched in any case."""

    def __post_init__(self) -> None:
        if (self.folder is None) == (self.endpoint is None):
            raise ValueError("a storage has a folder, or an endpoint with a bucket")
        if self.endpoint is not None:
            self._check_endpoint(self.endpoint)
            return
        if not Path(self.folder or "").is_absolute():
            raise ValueError("folder is no absolute path")
        if self.bucket or self.prefix or self.access_key or self.secret_key or self.ca_file:
            raise ValueError("a folder has no bucket, prefix, keys or ca_file")

    def _check_endpoint(self, endpoint: str) -> None:
        url = urlsplit(endpoint)
        if url.scheme not in ("https", "http") or not url.hostname or url.username or url.path.strip("/"):
            raise ValueError("endpoint is no URL such as https://s3.example.com")
        if url.scheme == "http" and url.hostname not in LOOPBACK and not self.plain_http:
            raise ValueError("endpoint has no TLS; plain_http permits that")
        if not self.bucket:
            raise ValueError("an endpoint needs a bucket")
        if self.prefix and path_fault(self.prefix.removesuffix("/")):
            raise ValueError("prefix is no beginning of keys such as waypost/")
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key go together")
        if find_spec("botocore") is None:
            raise ValueError("an S3 endpoint needs the extra s3: pip install 'waypost[s3]'")

    @property
    def kind(self) -> ArtifactKind:
        return "s3" if self.folder is None else "file"

    def address(self, path: str) -> str:
        """Returns the URL by which an artifact is recorded."""
        if self.folder is not None:
            return "file://" + quote(f"{self.folder.rstrip('/')}/{path}")
        return f"s3://{self.bucket}/{self.prefix}{path}"


class ArtifactSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of artifacts: the storages by name, and the bounds of one transfer.

    Without storages a cluster has no artifacts.
    """

    storages: Mapping[str, StorageSettings] = {}
    mib: int = 1_024
    """The most MiB of one artifact."""
    seconds: float = 3_600.0
    """The most seconds of one transfer."""
    transfers: int = 8
    """The most transfers at once."""

    def __post_init__(self) -> None:
        for name in self.storages:
            if not STORAGE.fullmatch(name):
                raise ValueError(f"{name[:80]!r} is no name of a storage: lower-case letters, digits, dashes")
        if not 1 <= self.mib <= 5 << 20 or not 0 < self.seconds <= 604_800 or not 1 <= self.transfers <= 256:
            raise ValueError("artifacts need mib, seconds and transfers: 5 TiB, a week, 256 at most")

    @property
    def folders(self) -> tuple[Path, ...]:
        """Returns the folders of storages, which no task may see but through its artifacts."""
        found = (storage.folder for storage in self.storages.values() if storage.folder is not None)
        return tuple(Path(folder).resolve() for folder in found)


def artifact_settings(
    storages: Mapping[str, Mapping[str, str]], bounds: Mapping[str, str]
) -> ArtifactSettings:
    """Reads the settings of artifacts as a command line has them: each storage's by its name, and the bounds.

    Raises `ValueError`, whose text names the storage.
    """
    found = {}
    for name, table in storages.items():
        try:
            found[name] = plugin_settings(table, StorageSettings)
        except ValueError as error:
            raise ValueError(f"the storage {name[:80]}: {error}") from error
    return plugin_settings({"storages": found, **bounds}, ArtifactSettings)
