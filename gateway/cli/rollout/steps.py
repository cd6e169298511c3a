"""`waypost policy upload|shadow|canary|activate|promote|rollback|approve`: changes a gateway's rollout."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from gateway.cli.arguments import Format, Output, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, console, print_names, print_value
from gateway.cli.rollout.listing import Sequence, describe_pending, rolled_back_text, share_text

Generation = Annotated[
    int | None,
    Parameter(help="Only if the rollout is still at this generation, as `waypost policy bundles` shows it."),
]
Archive = Annotated[Path, Parameter(help="The signed archive of a bundle, a .tar.gz.")]


@command
def upload(archive: Archive, *, output: Output = Format.TABLE, url: Url = None, token: Token = None) -> None:
    """Upload the policy bundle ARCHIVE. The gateway checks and keeps it; it decides nothing yet."""
    content = archive.read_bytes()
    with connect(url, token) as client:
        answer = client.post(
            api_path("policy", "bundles"), content=content, headers={"content-type": "application/gzip"}
        )
        bundle = read_answer(answer, "sequence", "state")
        _show(bundle, output)
    if bundle["state"] == "RolledBack":
        raise CliError(
            f"bundle {bundle['sequence']} was uploaded before and rolled back for good: nothing has changed",
            lines=("To release its rules again, build them with a higher --sequence.",),
        )


@command
def shadow(
    sequence: Sequence,
    /,
    *,
    generation: Generation = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> int:
    """Evaluate a policy bundle in shadow, beside the active one: `bundles SEQUENCE` shows the differences."""
    return _request_step("shadow", sequence, generation, output, url=url, token=token)


@command
def canary(
    sequence: Sequence,
    /,
    *,
    tenant: Annotated[
        list[str] | None, Parameter(negative="", help="Decide for this tenant. May be repeated.")
    ] = None,
    percent: Annotated[float, Parameter(help="Decide for so many percent of all other tenants.")] = 0.0,
    generation: Generation = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> int:
    """Put a policy bundle in canary: it decides for the named tenants, and for a share of all others."""
    body = {"tenants": tenant or [], "percent": percent}
    return _request_step("canary", sequence, generation, output, url=url, token=token, body=body)


@command
def activate(
    sequence: Sequence,
    /,
    *,
    generation: Generation = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> int:
    """Activate a policy bundle: it decides for all tenants, at once. The active one is superseded."""
    return _request_step("activate", sequence, generation, output, url=url, token=token)


@command
def promote(
    sequence: Sequence,
    /,
    *,
    generation: Generation = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> int:
    """Activate a policy bundle for all tenants: the same as `activate`."""
    return _request_step("promote", sequence, generation, output, url=url, token=token)


@command
def rollback(
    sequence: Sequence,
    /,
    *,
    generation: Generation = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> int:
    """Roll a policy bundle back for good.

    If it was active, the bundle that was active before it decides again, at once.
    """
    return _request_step("rollback", sequence, generation, output, url=url, token=token)


@command
def approve(
    sequence: Sequence,
    /,
    *,
    generation: Generation = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> int:
    """Approve a change of a bundle's rollout that another person requested: `bundles` shows what waits."""
    return _request_step("approve", sequence, generation, output, url=url, token=token)


def _request_step(
    step: str,
    sequence: int,
    generation: int | None,
    output: Format,
    *,
    url: str | None,
    token: str | None,
    body: dict[str, Any] | None = None,
) -> int:
    """Requests a rollout change (shadow, canary, ...) of a policy bundle, and prints the result.

    Returns the exit code: `WAITING` if other people must approve the change first.
    """
    with connect(url, token) as client:
        before, former = None, ""
        if generation is None:
            rollout = read_answer(client.get(api_path("policy", "bundles")), "generation")
            generation, before = int(rollout["generation"]), rollout.get("pending")
            former = next((share_text(one) for one in rollout["items"] if one["sequence"] == sequence), "")
        headers = {"if-match": f'"{generation}"'}
        path = api_path("policy", "bundles", str(sequence), step)
        answer = client.post(path, headers=headers, json=body)
        bundle = read_answer(answer, "sequence", "state")
    _show(bundle, output)
    if not bundle.get("pending"):
        if step == "canary" and former:
            console(stderr=True).print(f"in place of the canary{former}", markup=False)
        return Exit.DONE
    if step != "approve" and before:
        console(stderr=True).print(f"replaced what waited before: {describe_pending(before)}", markup=False)
    return Exit.WAITING


def _show(bundle: dict[str, Any], output: Format) -> None:
    if output is Format.NAME:
        print_names([str(bundle["sequence"])])
    elif output is not Format.TABLE:
        print_value(bundle, output)
    else:
        state = bundle["state"] + share_text(bundle)
        line = f"bundle {bundle['sequence']}: {state}, revision {bundle['revision']}"
        console().print(line, markup=False)
        for warning in _warnings(bundle):
            console(stderr=True).print(f"warning: {warning}", markup=False)
        if pending := bundle.get("pending"):
            console().print(f"not done yet: {describe_pending(pending)}", markup=False)


def _warnings(bundle: dict[str, Any]) -> Iterator[str]:
    """Yields what a person should know of a bundle that was uploaded, or of a change of its rollout."""
    if unknown := bundle.get("unknown_tenants"):
        yield f"no data has a tenant {', '.join(unknown)}: is the name right?"
    if former := bundle.get("rolled_back_as"):
        yield f"its rules and data are those of {rolled_back_text(former)}"
    if lag := bundle.get("not_in_force"):
        yield lag
