"""`waypost policy bundles`: lists the policy bundles of a gateway, or shows one, with their states."""

from typing import Annotated, Any

from cyclopts import Parameter

from gateway.cli.arguments import Format, Output, Quiet, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.output import command, console, format_count, format_time, print_names, print_value, table

Sequence = Annotated[int, Parameter(help="The bundle's sequence.")]


@command
def bundles(
    sequence: Annotated[
        int | None, Parameter(help="Show this one alone, and what it answered otherwise in shadow.")
    ] = None,
    /,
    *,
    output: Output = Format.TABLE,
    quiet: Quiet = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """List the policy bundles of a gateway, newest first, with their states."""
    with connect(url, token) as client:
        if sequence is not None:
            found = read_answer(client.get(api_path("policy", "bundles", str(sequence))), "sequence")
            _show_one(found, Format.NAME if quiet else output)
            return
        answer = read_answer(client.get(api_path("policy", "bundles")), "items", "generation")
    found = answer["items"]
    if quiet or output is Format.NAME:
        print_names(str(bundle["sequence"]) for bundle in found)
    elif output is not Format.TABLE:
        print_value(found, output)
    else:
        rows = (
            [
                bundle["sequence"],
                bundle["revision"],
                _state_text(bundle),
                bundle["uploaded_by"],
                format_time(bundle["changed_at"]),
                bundle["changed_by"],
            ]
            for bundle in found
        )
        console().print(table(["SEQUENCE", "REVISION", "STATE", "UPLOADED BY", "SINCE", "BY"], rows))
        deciding = f"generation {answer['generation']}; deciding: revision {answer['deciding']}"
        console().print(deciding, markup=False)
        if lag := answer.get("not_in_force"):
            console().print(f"warning: {lag}", markup=False)
        if kept := answer.get("approvals_kept"):
            needs = f"the next canary or activation needs {format_count(kept, 'approval')}"
            console().print(f"{needs}: so the rules that were rolled back asked", markup=False)
        if pending := answer.get("pending"):
            console().print(f"waiting: {describe_pending(pending)}", markup=False)


def _state_text(bundle: dict[str, Any]) -> str:
    former = bundle.get("rolled_back_as")
    return f"{bundle['state']}{share_text(bundle)}{f'; as {rolled_back_text(former)}' if former else ''}"


def rolled_back_text(sequences: list[int]) -> str:
    """Formats for people the rolled-back bundles that have the rules and data of another one."""
    named = ", ".join(map(str, sequences))
    return f"bundle {named}, rolled back" if len(sequences) == 1 else f"bundles {named}, rolled back"


def describe_pending(pending: dict[str, Any]) -> str:
    """Formats for people a rollout change of a policy bundle that waits for approval."""
    what = f"{pending['step']} {pending['sequence']}{share_text(pending)}, asked for by {pending['asked_by']}"
    left = pending["approvals"] - len(pending["approved_by"])
    ends = format_time(pending["expires_at"])
    how = f"waypost policy approve {pending['sequence']}"
    return f"{what}; {format_count(left, 'approval')} needed until {ends}: {how}"


def _show_one(bundle: dict[str, Any], output: Format) -> None:
    if output is Format.NAME:
        print_names([str(bundle["sequence"])])
        return
    if output is not Format.TABLE:
        print_value(bundle, output)
        return
    state = (
        f"bundle {bundle['sequence']}: {bundle['state']}{share_text(bundle)}, revision {bundle['revision']}"
    )
    console().print(state, markup=False)
    if (shadow := bundle["shadow"]) is None:
        return
    flips = ", ".join(f"{count} {kind}" for kind, count in shadow["flips"].items()) or "nothing"
    when = "in shadow" if bundle["state"] == "Shadow" else "while it was in shadow"
    counts = f"{when}: {shadow['compared']} decisions compared, {shadow['skipped']} skipped"
    console().print(f"{counts}; otherwise: {flips}", markup=False)
    names = ("kind", "action", "tenant", "rules", "decision_id", "detail")
    rows = (
        [", ".join(flip[name]) if name == "rules" else flip[name] for name in names]
        for flip in shadow["latest"]
    )
    if shadow["latest"]:
        console().print(table(["KIND", "ACTION", "TENANT", "RULES", "DECISION", "DETAIL"], rows))
        note = "`waypost decisions get` shows the decisions of your own tenant; to operators, of all tenants"
        console().print(note, markup=False)


def share_text(bundle: dict[str, Any]) -> str:
    """Formats for people the tenants for whom a policy bundle in canary decides."""
    parts = [*bundle["tenants"], *([f"{bundle['percent']:g} %"] if bundle["percent"] else [])]
    return f" for {', '.join(parts)}" if parts else ""
