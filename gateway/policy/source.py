"""The source of a policy as an engine loads it, and the diagnostics and the error that name its problems."""

from collections.abc import Iterable

from msgspec import Struct


class PolicySource(Struct, frozen=True, kw_only=True):
    """The source of a policy as an engine loads it: Rego modules, their data, and the rules to query.

    `modules` are (file name, text), `data` is the data document as JSON text, `entry_points` are the full
    names of the rules to evaluate. The class stands in a file of its own because the process that evaluates
    large documents needs no more of `bundle`, and starts faster without it.
    """

    modules: tuple[tuple[str, str], ...]
    data: str
    entry_points: tuple[str, ...]


class Diagnostic(Struct, frozen=True, kw_only=True, gc=False, order=True):
    """A problem of a policy bundle, with its file and line.

    `file` is relative to the folder of the bundle; `line` counts from 1, and 0 stands for the whole file.
    """

    file: str
    line: int
    detail: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.detail}" if self.line else f"{self.file}: {self.detail}"


class BundleError(Exception):
    """Raised for a policy bundle that cannot be used. The text is every diagnostic, one per line."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(map(str, self.diagnostics)))
