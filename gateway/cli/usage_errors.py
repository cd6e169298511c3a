"""Formats usage errors of the command line as one sentence and advice, like all other errors."""

from typing import Final

from cyclopts.exceptions import CycloptsError, MissingArgumentError, UnusedCliTokensError

STANDARD_INPUT: Final = "/dev/stdin"
"""The file name on the command line, a lone dash, that stands for standard input."""


def format_usage_error(error: CycloptsError) -> str:
    """Formats a usage error for rich, with the command whose `--help` says more."""
    chain = " ".join(("waypost", *(error.command_chain or ())))
    text = str(error)
    if isinstance(error, UnusedCliTokensError):
        text = f"there is no place for {' '.join(error.unused_tokens or ())}"
    elif missing := _missing_argument(error):
        text = f"{missing} is missing"
    # Escaped by hand: importing rich's markup for an ordinary start would slow it.
    escaped = text.replace("[", "\\[")
    return f"[red]error:[/] {escaped}\n  `{chain} --help` shows what there is."


def _missing_argument(error: CycloptsError) -> str:
    """Returns the name of the required option or argument that is absent; empty for any other error."""
    argument = error.argument
    if type(error) is not MissingArgumentError or argument is None or error.keyword is not None:
        return ""
    if any(token.keyword for token in argument.tokens):
        return ""
    # As the help shows them.
    return argument.name.lstrip("-").upper() if argument.field_info.is_positional else argument.name
