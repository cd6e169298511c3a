"""`waypost decisions`: lists, shows and exports recorded policy decisions."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Final

import httpx
import msgspec
from cyclopts import App, Parameter

from gateway.cli.arguments import Continued, Format, Limit, Output, Quiet, Since, Token, Url, parse_since
from gateway.cli.client import api_path, connect, read_answer, read_pages
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, console, format_time, print_more, print_names, print_value, table

app = App(name="decisions", help="What policy decided, about whom and why.")

PAGE: Final = 200
"""The number of policy decisions that an export requests in one call."""
SENTENCE_MAXIMUM: Final = 60
"""The maximum number of characters of a reason, or of OPA's error, that a table shows."""


class ExportedPage(msgspec.Struct, frozen=True, kw_only=True, rename={"next": "continue"}):
    """A page of recorded policy decisions; each item is the JSON that the gateway wrote, on one line."""

    items: tuple[msgspec.Raw, ...]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The command-line options that filter a list of recorded policy decisions."""

    refused: Annotated[bool, Parameter(negative="", help="Only refusals.")] = False
    action: Annotated[
        tuple[str, ...], Parameter(negative="", help="Only this action, as runs:submit. May be repeated.")
    ] = ()
    subject: Annotated[str | None, Parameter(help="Only what this subject asked for.")] = None
    tenant: Annotated[str | None, Parameter(help="Only what callers of this tenant asked for.")] = None
    rule: Annotated[str | None, Parameter(help="Only what this rule decided, as image.banned.")] = None
    run: Annotated[str | None, Parameter(help="Only what is about this run.")] = None
    since: Since = None

    def query(self) -> dict[str, Any]:
        """Converts the filter options to the API's query parameters.

        Raises `CliError` for a malformed time.
        """
        filters: dict[str, Any] = {
            "refused": "true" if self.refused else None,
            "action": list(self.action) or None,
            "subject": self.subject,
            "tenant": self.tenant,
            "rule": self.rule,
            "run": self.run,
            "since": None if self.since is None else parse_since(self.since),
        }
        return {name: value for name, value in filters.items() if value is not None}


@dataclass(kw_only=True)
class RefusalCount:
    """The count of recorded refusals with the same reason, action and tenant."""

    why: str = field(kw_only=False)
    """The ids of the rules that refused, or the reason why policy could not answer."""
    action: str = field(kw_only=False)
    tenant: str = field(kw_only=False)
    latest: str
    """The id of the newest decision among the counted refusals."""
    at: float
    """The time of that decision, in seconds since 1970."""
    decisions: int = 0
    subjects: list[str] = field(default_factory=list)

    def add(self, subject: str) -> None:
        """Counts one more refused policy decision, for a request of the caller `subject`."""
        self.decisions += 1
        if subject not in self.subjects:
            self.subjects.append(subject)


Chosen = Annotated[Filters | None, Parameter(name="*", help="Which decisions.")]


@app.command(name="list")
@command
def listing(
    *,
    filters: Chosen = None,
    limit: Limit = 50,
    continued: Continued = None,
    output: Output = Format.TABLE,
    quiet: Quiet = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """List the recorded policy decisions, newest first.

    If there are more, standard error names the option that shows the next page.
    """
    query = (filters or Filters()).query()
    if continued is not None:
        query["continue"] = continued
    with connect(url, token) as client:
        page = read_pages(client, api_path("decisions"), query, limit)
    print_more(page)
    if output is Format.TABLE and not quiet:
        _print_table(page["items"], with_reasons=bool(filters and filters.refused))
    else:
        print_value(page["items"], Format.NAME if quiet else output)


@app.command
@command
def summary(
    *,
    filters: Chosen = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """Count the recorded refusals by the rules that refused, action and tenant, the most frequent first."""
    query = (filters or Filters()).query() | {"limit": PAGE, "refused": "true"}
    groups: dict[tuple[str, str, str], RefusalCount] = {}
    faults: set[str] = set()
    with connect(url, token) as client:
        while True:
            page = read_answer(client.get(api_path("decisions"), params=query), "items")
            for item in page["items"]:
                why = ", ".join(item["rules"]) or item["fault"]
                faults.add(item["fault"])
                key = (why, item["action"], item["tenant"])
                groups.setdefault(key, RefusalCount(*key, latest=item["id"], at=item["at"])).add(
                    item["subject"]
                )
            if not (more := page.get("continue")):
                break
            query["continue"] = more
    found = sorted(groups.values(), key=lambda group: -group.decisions)
    if output is Format.NAME:
        print_names(group.why for group in found)
    elif output is not Format.TABLE:
        print_value([asdict(group) for group in found], output)
    else:
        rows = (
            [
                *(
                    one.decisions,
                    _shorten(one.why) if one.why in faults else one.why,
                    one.action,
                    one.tenant,
                    len(one.subjects),
                ),
                *(format_time(one.at), one.latest),
            ]
            for one in found
        )
        console().print(table(["REFUSALS", "RULES", "ACTION", "TENANT", "CALLERS", "LATEST", "ITS ID"], rows))


@app.command
@command
def get(
    decision: Annotated[str, Parameter(help="The id of the decision, as refusals and lists show it.")],
    /,
    *,
    output: Output = Format.YAML,
    url: Url = None,
    token: Token = None,
) -> None:
    """Show one recorded policy decision with the input of the rules."""
    with connect(url, token) as client:
        found = read_answer(client.get(api_path("decisions", decision)), "id")
    print_value(found, Format.YAML if output is Format.TABLE else output)


@app.command
@command
def export(
    *,
    filters: Chosen = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Write every recorded policy decision as a line of JSON, with its input, newest first."""
    with connect(url, token) as client:
        for found in exported(filters or Filters(), client):
            sys.stdout.buffer.write(msgspec.json.format(bytes(found), indent=-1) + b"\n")


def exported(filters: Filters, client: httpx.Client) -> Iterator[msgspec.Raw]:
    """Yields every recorded policy decision that matches the filters, with its input, newest first."""
    query = filters.query() | {"limit": PAGE, "inputs": "true"}
    while True:
        answer = client.get(api_path("decisions"), params=query)
        if not answer.is_success:
            read_answer(answer)
        try:
            page = msgspec.json.decode(answer.content, type=ExportedPage)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CliError(
                "the answer is not one of a gateway: is the URL right?", code=Exit.UNAVAILABLE
            ) from error
        yield from page.items
        if page.next is None:
            return
        query["continue"] = page.next


def _print_table(items: Sequence[dict[str, Any]], *, with_reasons: bool) -> None:
    columns = ["TIME", "DECISION", "ACTION", "TENANT", "WHO", "WHAT", "RULES", "ID"]
    rows = [
        [
            format_time(item["at"]),
            "permitted" if item["allow"] else "no answer" if item["fault"] else "refused",
            item["action"],
            item["tenant"],
            item["subject"],
            item.get("operation") or item["name"] or item["run"],
            ", ".join(item["rules"]) or _shorten(item["fault"]),
            item["id"],
        ]
        for item in items
    ]
    if with_reasons:
        columns.append("REASON")
        for row, item in zip(rows, items, strict=True):
            row.append(_shorten(_first_reason(item.get("reasons", ()))))
    console().print(table(columns, rows))
    if any(item["allow"] and not item["action"].startswith("runs:") for item in items):
        note = "permitted is what policy said of an act; that it was done then: waypost audit list"
        console(stderr=True).print(note, markup=False)


def _first_reason(reasons: Sequence[dict[str, Any]]) -> str:
    """Returns the sentence of the first rule that refuses, before those of advisory rules."""
    ordered = sorted(reasons, key=lambda reason: reason.get("level") == "advisory")
    return next((str(reason["message"]) for reason in ordered), "")


def _shorten(text: str) -> str:
    """Cuts a sentence for a cell of a table; `get` and the other formats have it whole."""
    return text if len(text) <= SENTENCE_MAXIMUM else f"{text[: SENTENCE_MAXIMUM - 3]}..."
