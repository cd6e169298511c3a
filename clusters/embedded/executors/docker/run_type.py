"""The type of the `run` of a `docker` task."""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from waypost.workflow.run_types import Argument, VariableName

PinnedImage: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9][A-Za-z0-9._:/-]{0,254}@)?sha256:[0-9a-f]{64}$(?!\n)",
        description="an image by its digest, as registry.example/name@sha256:..., or by its id (sha256:...)",
    ),
]


class DockerRun(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The `run` of a `docker` task: an image by its digest, and the command that runs in it.

    Its environment is that of the image, `env` and the variables that Waypost sets.
    """

    image: PinnedImage
    command: tuple[Argument, ...] = ()
    """The words of the command; empty: that of the image."""
    entrypoint: tuple[Argument, ...] | None = None
    """The words in place of the image's entry point; an empty list: none."""
    env: dict[VariableName, Argument] = {}
    network: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$(?!\n)")] = "none"
    """The network of the engine that the container joins; it must be one that the cluster permits."""

    @property
    def registry(self) -> str:
        """Returns the host of the registry that the image's name leads to; empty for an image by its id."""
        name, _, _ = self.image.rpartition("@")
        host, slash, _ = name.partition("/")
        if not name:
            return ""
        return host if slash and ("." in host or ":" in host or host == "localhost") else "docker.io"
