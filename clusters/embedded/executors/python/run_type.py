"""The type of the `run` of a `python` task."""

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

FunctionName: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*:[A-Za-z][A-Za-z0-9_]*$(?!\n)",
        max_length=512,
        description="a function, as package.module:function; no name begins with an underscore",
    ),
]


class PythonRun(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The `run` of a `python` task: a function of an installed package, and its arguments.

    What it returns is the output; what it prints is the log.
    """

    function: FunctionName
    arguments: dict[str, Any] = {}
    """The arguments, by name, as JSON."""

    @property
    def module(self) -> str:
        """Returns the name of the function's module."""
        return self.function.partition(":")[0]
