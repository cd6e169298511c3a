"""The `waypost` command: the table of its subcommands, and the function that runs one.

Subcommands are named by import strings, so that a start loads only the one that it runs.
"""

import sys
from typing import Annotated, Final, Literal

from cyclopts import App, Parameter

from gateway.cli.usage_errors import STANDARD_INPUT, format_usage_error

EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 the run did not succeed or it cannot be done, 2 an argument or document is wrong, "
    "3 no token or not allowed, 4 not found, 5 no gateway answers or not now, 6 accepted but not followed, "
    "130 interrupted."
)


def installed_version() -> str:
    """Returns the version of the installed `waypost` distribution."""
    from importlib.metadata import version  # noqa: PLC0415  # loading it would slow every start

    return version("waypost")


app = App(
    name="waypost",
    help="A policy-governed gateway in front of many clusters.",
    help_epilogue=EXIT_CODES,
    version=installed_version,
    version_flags=["--version"],
    error_formatter=format_usage_error,
)

RUNS, OPERATE, BUILD = "Submit and follow", "Run the gateway and its clusters", "Prepare"

COMMANDS: Final = (
    ("submit", "gateway.cli.runs.submit:submit", RUNS, "Submit a workflow."),
    ("runs", "gateway.cli.runs.listing:runs", RUNS, "List the runs that you may see."),
    ("describe", "gateway.cli.runs.describe:describe", RUNS, "Show one run: its shards and tasks."),
    ("watch", "gateway.cli.runs.watch:watch", RUNS, "Follow a run to its end."),
    ("explain", "gateway.cli.runs.explain:explain", RUNS, "Tell why a run went the way it went."),
    ("logs", "gateway.cli.logs.logs:logs", RUNS, "Print a task's output, control characters included."),
    ("cancel", "gateway.cli.runs.cancel:cancel", RUNS, "Cancel a run."),
    ("retry", "gateway.cli.runs.retry:retry", RUNS, "Open a failed or cancelled run again."),
    ("apply", "gateway.cli.releases.releases:apply", RUNS, "Store a new version of a named workflow."),
    ("releases", "gateway.cli.releases.releases:app", RUNS, "Release versions of workflows step by step."),
    ("regions", "gateway.cli.regions.listing:regions", RUNS, "List the regions and how things stand there."),
    ("cordon", "gateway.cli.regions.cordon:cordon", OPERATE, "Place no new work in a region."),
    ("uncordon", "gateway.cli.regions.cordon:uncordon", OPERATE, "Place work in a region again."),
    ("drain", "gateway.cli.regions.drain:drain", OPERATE, "Cordon a region and wait until it is empty."),
    ("forget", "gateway.cli.regions.forget:forget", OPERATE, "Give an unreachable region up for good."),
    ("routing", "gateway.cli.regions.routing:app", OPERATE, "Spread new work over the regions."),
    (
        "replace",
        "gateway.cli.regions.replace:replace",
        OPERATE,
        "Admit another journal under a region's name.",
    ),
    ("audit", "gateway.cli.records.audit:app", OPERATE, "Who had what done to runs and regions."),
    ("decisions", "gateway.cli.records.decisions:app", OPERATE, "What policy decided, about whom and why."),
    ("retention", "gateway.cli.records.retention:app", OPERATE, "Which ended runs are archived and deleted."),
    ("rollbacks", "gateway.cli.records.rollbacks:app", OPERATE, "What was taken back by itself, and why."),
    (
        "up",
        "gateway.cli.dev.up:up",
        OPERATE,
        "Start a gateway and its regions on this machine, for development.",
    ),
    ("gateway", "gateway.cli.gateway:gateway", OPERATE, "Run a gateway."),
    ("backup", "gateway.cli.storage.backup:backup", OPERATE, "Copy a gateway's store while it runs."),
    ("restore", "gateway.cli.storage.restore:restore", OPERATE, "Put a gateway's store back from a backup."),
    ("cluster", "gateway.cli.cluster:cluster", OPERATE, "Run the embedded scheduler cluster of one region."),
    ("executors", "gateway.cli.executors:executors", OPERATE, "List what runs tasks, and where."),
    ("healthcheck", "gateway.cli.healthcheck:healthcheck", OPERATE, "Ask a gateway whether it is ready."),
    ("pki", "gateway.cli.pki:app", BUILD, "Make and check certificates."),
    ("policy", "gateway.cli.policy.rules:app", BUILD, "Rego: try the rules before they rule."),
    (
        "mesh",
        "gateway.cli.mesh.services:app",
        BUILD,
        "Istio: who may reach which service, from YAML in Git.",
    ),
    ("token", "gateway.cli.token:app", BUILD, "Make tokens for development."),
    (
        "simulate",
        "gateway.cli.simulation.simulate:app",
        BUILD,
        "Try a cluster's queue in virtual time.",
    ),
    ("convert", "gateway.cli.convert:convert", BUILD, "Turn a recorded workflow (WfFormat) into a document."),
)
"""The subcommands of `waypost`, each as (name, import string, group in the help, first line of its help)."""

SYNONYMS: Final = {
    "submit": ("create", "run", "start", "exec"),
    "runs": ("get", "list", "ls", "ps", "status"),
    "describe": ("get", "show", "inspect", "status"),
    "watch": ("wait", "follow", "events", "top"),
    "explain": ("why", "events", "history"),
    "logs": ("log", "tail"),
    "cancel": ("delete", "remove", "rm", "stop", "kill", "terminate", "abort", "suspend"),
    "retry": ("rerun", "resubmit", "resume", "restart"),
    "regions": ("get", "nodes", "clusters"),
    "cordon": ("taint",),
    "executors": ("plugins", "templates", "operators", "providers"),
    "up": ("dev",),
}
"""The words that users of kubectl, argo and docker type for a command, which is then suggested to them."""

for name, target, group, text in COMMANDS:
    # `pki` and the like are apps themselves, which have theirs where they are made
    words = {"synonym": SYNONYMS[name]} if name in SYNONYMS else {}
    app.command(target, name=name, group=group, help=text, **words)


@app.command(group=BUILD)
def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="Which shell.")],
) -> None:
    """Print a shell's completion script: `source <(waypost completion bash)`."""
    sys.stdout.write(app.generate_completion(shell=shell))


@app.command(group=BUILD)
def version() -> None:
    """Print the version, the same as `--version`."""
    sys.stdout.write(f"{installed_version()}\n")


@app.command(name="help", group=BUILD)
def print_help(*command: Annotated[str, Parameter(help="Of which command. Default: of all.")]) -> None:
    """Print the help of a command, the same as `--help`."""
    app.help_print(command)


def main() -> None:
    """Runs the subcommand that the command line names, and exits with the exit code that it returns."""
    # A lone dash, for standard input, is spelled out: cyclopts would take it for an option, or (set not to)
    # every misspelt option for a file.
    sys.exit(app([STANDARD_INPUT if word == "-" else word for word in sys.argv[1:]]))


if __name__ == "__main__":
    main()
