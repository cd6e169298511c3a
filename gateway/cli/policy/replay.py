"""`waypost policy replay`: what other rules would have answered to what was asked."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from gateway.cli.arguments import Format, Output, Since, Token, Url
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, console, print_value, table
from gateway.cli.records.decisions import Filters, exported
from gateway.policy.bundle import BundleError
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from gateway.policy.replay import KINDS, Flip, Recorded, replay


@command
def replay_decisions(
    directory: Annotated[Path, Parameter(help="The folder of the rules that are to be tried.")],
    /,
    *,
    decisions: Annotated[
        Path | None,
        Parameter(help="An export of `waypost decisions export`. Default: what the gateway has."),
    ] = None,
    since: Since = None,
    data: Annotated[Path | None, Parameter(help="The rules' data, where it is not theirs.")] = None,
    allow_widening: Annotated[
        bool, Parameter(negative="", help="That something is newly allowed is no failure.")
    ] = False,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> int:
    """Answer what was asked of policy again, by the rules in DIRECTORY, and show what would change.

    Exit code 1 where something is newly allowed, or gets no answer.
    """
    lines = _read(decisions) if decisions else exported(Filters(since=since), url, token)
    recorded = [_parse(line) for line in lines]
    try:
        asked, flips = asyncio.run(_replay(directory, data, recorded))
    except BundleError as error:
        raise CliError("the rules cannot be used", lines=tuple(str(error).splitlines())) from error
    _print(flips, output)
    counts = Counter(flip.kind for flip in flips)
    skipped = f", {len(recorded) - asked} cannot be asked again" if asked < len(recorded) else ""
    console(stderr=True).print(
        f"{asked} decisions: {', '.join(f'{counts[kind]} {WORDS[kind]}' for kind in KINDS)}{skipped}",
        markup=False,
    )
    widened = counts["allowed"] and not allow_widening
    return Exit.FAILED if widened or counts["unanswered"] else Exit.DONE


WORDS = {
    "allowed": "newly allowed",
    "unanswered": "without an answer",
    "refused": "newly refused",
    "changed": "otherwise decided",
}


async def _replay(directory: Path, data: Path | None, recorded: Iterable[Recorded]) -> tuple[int, list[Flip]]:
    asked, flips = 0, []
    async with EmbeddedPolicyEngine(directory, data) as engine:
        async for _, flip in replay(recorded, engine):
            asked += 1
            if flip is not None:
                flips.append(flip)
    flips.sort(key=lambda flip: (KINDS.index(flip.kind), flip.tenant, flip.rules))
    return asked, flips


def _print(flips: Sequence[Flip], output: Format) -> None:
    if output is not Format.TABLE:
        print_value(msgspec.to_builtins(flips), output)
    elif flips:
        grouped = Counter((flip.kind, flip.tenant, ", ".join(flip.rules), flip.action) for flip in flips)
        examples = {(f.kind, f.tenant, ", ".join(f.rules), f.action): f for f in reversed(flips)}
        rows = (
            [WORDS[key[0]], count, key[3], key[1], key[2], examples[key].id, examples[key].detail]
            for key, count in grouped.items()
        )
        console().print(
            table(["CHANGE", "DECISIONS", "ACTION", "TENANT", "RULES", "EXAMPLE", "DETAIL"], rows)
        )


def _read(path: Path) -> Iterator[bytes]:
    try:
        return iter(path.read_bytes().splitlines())
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}", code=Exit.USAGE) from error


def _parse(line: bytes | dict[str, Any]) -> Recorded:
    try:
        text = line if isinstance(line, bytes) else msgspec.json.encode(line)
        return msgspec.json.decode(text, type=Recorded)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CliError(f"this is no line of an export: {error}", code=Exit.USAGE) from error
