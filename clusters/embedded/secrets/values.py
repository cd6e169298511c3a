"""The secrets of one try of a task, in the forms in which the task gets them."""

from collections.abc import Iterable, Mapping
from typing import Final

from clusters.embedded.secrets.mask import VALUE_MINIMUM_BYTES, Mask
from waypost.workflow.secrets import SecretSpec

VALUES_MAXIMUM_BYTES: Final = 16_384
"""The most bytes of all secrets of one task: all of them are looked for in all that it prints."""


class SecretUnusable(Exception):
    """Raised for a secret that a task cannot get here. The text says why, without the value."""


class Secrets:
    """The values of the secrets of one try: variables, files, and the mask of all of them.

    Nothing of it is shown where it is printed. False where there are none.
    """

    def __init__(self, values: Iterable[tuple[SecretSpec, bytes]] = ()) -> None:
        environment, files, size = dict[str, bytes](), dict[str, bytes](), 0
        for secret, value in values:
            if (size := size + len(value)) > VALUES_MAXIMUM_BYTES:
                raise SecretUnusable(f"its secrets have more than {VALUES_MAXIMUM_BYTES >> 10} KiB")
            if len(value.strip()) < VALUE_MINIMUM_BYTES:
                raise SecretUnusable(
                    f"the secret {secret.source} has under {VALUE_MINIMUM_BYTES} bytes, too few to be masked"
                )
            if secret.form == "file":
                files[secret.name] = value
            elif b"\0" in value:
                raise SecretUnusable(
                    f"the secret {secret.source} has a NUL byte, as no variable can: take it as a file"
                )
            else:
                # Editors and `echo` end a file with a line feed that nobody means.
                environment[secret.name] = value.removesuffix(b"\n").removesuffix(b"\r")
        self.environment: Mapping[str, bytes] = environment
        self.files: Mapping[str, bytes] = files
        self.mask = Mask([*environment.values(), *files.values()])

    def __bool__(self) -> bool:
        return bool(self.environment or self.files)

    def __repr__(self) -> str:
        return "Secrets(***)"


NO_SECRETS = Secrets()
