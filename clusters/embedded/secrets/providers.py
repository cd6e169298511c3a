"""Reads the values of secrets from where a cluster's settings say: a folder of files, or the environment."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from clusters.embedded.secrets.values import VALUES_MAXIMUM_BYTES, Secrets, SecretUnusable
from waypost.workflow.secrets import SecretSpec

PREFIX: Final = re.compile(r"[A-Z][A-Z0-9_]*_")
PLAIN_PATH: Final = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*(?:/[a-z0-9]+(?:_[a-z0-9]+)*)*")
"""Matches the names of secrets that variables can have, each another one."""


class SecretSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a cluster's secrets: where their values are. Without any, a cluster has no secrets."""

    files: str | None = None
    """Path of a folder: the secret `db/password` is the file `db/password` in it."""
    environment: str | None = None
    """The beginning of the names of variables of the cluster's own environment, such as `SECRET_`.

    The secret `db/password` is then `SECRET_DB__PASSWORD`. Asked where no file has it.
    """

    def __post_init__(self) -> None:
        if self.environment is not None and not PREFIX.fullmatch(self.environment):
            raise ValueError("secrets.environment is no beginning of names such as SECRET_: capitals, then _")
        if self.files is not None and not Path(self.files).is_dir():
            raise ValueError(f"secrets.files: there is no folder {self.files}")


class SecretProvider:
    """Reads secrets again for each try, so that a value that was changed counts from the next try on."""

    def __init__(self, settings: SecretSettings, environment: Mapping[str, str] = os.environ) -> None:
        self._settings, self._environment = settings, environment

    def __repr__(self) -> str:
        return f"SecretProvider({self._settings})"

    def read(self, secrets: Iterable[SecretSpec]) -> Secrets:
        """Returns the secrets with their values. Blocks. Raises `SecretUnusable`."""
        return Secrets([(secret, self.value(secret.source)) for secret in secrets])

    def value(self, source: str) -> bytes:
        """Returns the value of the secret called `source`. Blocks. Raises `SecretUnusable`."""
        found = self._from_file(source)
        if found is None:
            found = self._from_environment(source)
        if found is None:
            raise SecretUnusable(f"this region has no secret {source}")
        return found

    def _from_file(self, source: str) -> bytes | None:
        if self._settings.files is None:
            return None
        folder = Path(self._settings.files).resolve()
        try:
            # Kubernetes mounts secrets as links, which lead to where it has put them within the folder.
            path = (folder / source).resolve()
            if not path.is_relative_to(folder) or not path.is_file():
                return None
            with path.open("rb") as file:
                return file.read(VALUES_MAXIMUM_BYTES + 1)
        except (OSError, RuntimeError) as error:
            raise SecretUnusable(f"the secret {source} cannot be read: {type(error).__name__}") from error

    def _from_environment(self, source: str) -> bytes | None:
        if self._settings.environment is None or not PLAIN_PATH.fullmatch(source):
            return None
        found = self._environment.get(self._settings.environment + source.upper().replace("/", "__"))
        return None if found is None else os.fsencode(found)
