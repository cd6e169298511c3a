"""The types of secrets in a workflow document, shared by the gateway and the clusters."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct, field

from waypost.workflow.task import TaskSpec

VARIABLE: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$(?!\n)"
PATH: Final = r"^(?=.{1,253}$)[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$(?!\n)"
SecretName: TypeAlias = Annotated[
    str,
    Meta(pattern=VARIABLE, description="the name of a variable: letters, digits and underscores"),
]
SecretPath: TypeAlias = Annotated[
    str,
    Meta(
        pattern=PATH,
        description="the name of a secret in a region: letters, digits, dots, dashes and underscores, with "
        "slashes between them, and no placeholder",
    ),
]


class SecretSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One secret of a workflow: its name for the tasks, and which value of the region it is.

    The value itself is in no document: each region's cluster reads it from a provider of its own, when a task
    starts.
    """

    name: SecretName
    source: SecretPath = field(name="from")
    form: Annotated[
        Literal["env", "file"],
        Meta(
            description="`env`: a variable of that name. `file`: a file of that name in the folder that "
            "`WAYPOST_SECRETS` names."
        ),
    ] = field(name="as", default="env")


def secrets_of(task: TaskSpec, secrets: Sequence[SecretSpec]) -> tuple[SecretSpec, ...]:
    """Returns those of a workflow's secrets that `task` gets: the ones that it names, by default all."""
    if task.secrets is None:
        return tuple(secrets)
    return tuple(secret for secret in secrets if secret.name in task.secrets)
