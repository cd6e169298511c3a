"""The `waypost` command and the table of its subcommands.

Subcommands are named by import strings, so that a start loads only the one that it runs.
"""

import sys
from typing import Final

from cyclopts import App

EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 the run did not succeed or it cannot be done, 2 an argument or document is wrong, "
    "3 no token or not allowed, 4 not found, 5 no gateway answers or not now, 130 interrupted."
)


def installed_version() -> str:
    """The version of the installed distribution."""
    from importlib.metadata import version  # noqa: PLC0415  # loading it would slow every start

    return version("waypost")


app = App(
    name="waypost",
    help="A policy-governed gateway in front of many clusters.",
    help_epilogue=EXIT_CODES,
    version=installed_version,
    version_flags=["--version"],
)

RUNS, OPERATE, BUILD = "Submit and follow", "Run the gateway and its clusters", "Prepare"

COMMANDS: Final = (
    ("submit", "gateway.cli.runs.submit:submit", RUNS, "Submit a workflow."),
    ("runs", "gateway.cli.runs.listing:runs", RUNS, "List the runs that you may see."),
    ("describe", "gateway.cli.runs.describe:describe", RUNS, "Show one run: its shards and tasks."),
    ("watch", "gateway.cli.runs.watch:watch", RUNS, "Follow a run to its end."),
    ("explain", "gateway.cli.runs.explain:explain", RUNS, "Tell why a run went the way it went."),
    ("logs", "gateway.cli.runs.logs:logs", RUNS, "Print a task's output."),
    ("cancel", "gateway.cli.runs.cancel:cancel", RUNS, "Cancel a run."),
    ("retry", "gateway.cli.runs.retry:retry", RUNS, "Open a failed or cancelled run again."),
    ("regions", "gateway.cli.regions.listing:regions", RUNS, "List the regions and how things stand there."),
    ("cordon", "gateway.cli.regions.cordon:cordon", OPERATE, "Place no new work in a region."),
    ("uncordon", "gateway.cli.regions.cordon:uncordon", OPERATE, "Place work in a region again."),
    ("drain", "gateway.cli.regions.drain:drain", OPERATE, "Cordon a region and wait until it is empty."),
    ("forget", "gateway.cli.regions.forget:forget", OPERATE, "Give an unreachable region up for good."),
    (
        "replace",
        "gateway.cli.regions.replace:replace",
        OPERATE,
        "Admit another journal under a region's name.",
    ),
    (
        "up",
        "gateway.cli.dev.up:up",
        OPERATE,
        "Start a gateway and its regions on this machine, for development.",
    ),
    ("gateway", "gateway.cli.gateway:gateway", OPERATE, "Run a gateway."),
    ("cluster", "gateway.cli.cluster:cluster", OPERATE, "Run the embedded scheduler cluster of one region."),
    ("pki", "gateway.cli.pki:app", BUILD, "Make and check certificates."),
    ("policy", "gateway.cli.policy:app", BUILD, "Rego: try the rules before they rule."),
    ("token", "gateway.cli.token:app", BUILD, "Make tokens for development."),
    ("convert", "gateway.cli.convert:convert", BUILD, "Turn a recorded workflow (WfFormat) into a document."),
)
"""The subcommands, each as (name, import string, group in the help, first line of its help)."""

for name, target, group, text in COMMANDS:
    app.command(target, name=name, group=group, help=text)


def main() -> None:
    """Runs the subcommand that the command line names, and exits with the code that it returns (None: 0)."""
    sys.exit(app())


if __name__ == "__main__":
    main()
