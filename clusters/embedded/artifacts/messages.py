"""The types of messages to and from the processes that move artifacts."""

from typing import Literal

from msgspec import Struct

from clusters.embedded.artifacts.settings import StorageSettings


class Credentials(Struct, frozen=True, kw_only=True):
    """An access key of an S3 endpoint. Nothing of it is shown where it is printed."""

    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return "Credentials(***)"


class Transfer(Struct, frozen=True, kw_only=True):
    """The order to move one artifact: from its storage into a workspace (`fetch`), or back (`store`)."""

    direction: Literal["fetch", "store"]
    storage: StorageSettings
    credentials: Credentials | None
    path: str
    """The artifact's path in the storage."""
    workspace: str
    """The folder of the workspace."""
    file: str
    """The artifact's path in the workspace."""
    sha256: str | None
    """The SHA-256 that the artifact must have; None: any."""
    maximum_bytes: int


class TransferReply(Struct, frozen=True, kw_only=True):
    """The end of a transfer: size and SHA-256 of the artifact, or why it failed."""

    sha256: str = ""
    bytes: int = 0
    failure: str = ""
    lost: bool = False
    """Whether this cluster cannot move it (the storage does not answer, a disk is full); another may."""
    final: bool = False
    """Whether it would fail again, however often it is tried."""


class TransferFailed(Exception):
    """Raised where an artifact cannot be moved. The text says why, for people.

    `lost`: another cluster may be able to; `final`: it would fail again, however often it is tried.
    """

    def __init__(self, reason: str, *, lost: bool = False, final: bool = False) -> None:
        super().__init__(reason)
        self.lost, self.final = lost, final
