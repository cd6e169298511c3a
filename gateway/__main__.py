"""The `waypost` command. Commands are named by import strings, so that each start loads only what it runs."""

import sys

from cyclopts import App

app = App(name="waypost", help="A policy-governed gateway in front of many clusters.", version_flags=["--version"])

RUNS, OPERATE, BUILD = "Submit and follow", "Run the gateway and its clusters", "Prepare"

for name, target, group in (
    ("submit", "gateway.cli.submit:submit", RUNS),
    ("runs", "gateway.cli.runs:runs", RUNS),
    ("describe", "gateway.cli.runs:describe", RUNS),
    ("explain", "gateway.cli.explain:explain", RUNS),
    ("logs", "gateway.cli.logs:logs", RUNS),
    ("cancel", "gateway.cli.runs:cancel", RUNS),
    ("retry", "gateway.cli.runs:retry", RUNS),
    ("regions", "gateway.cli.regions:regions", RUNS),
    ("up", "gateway.cli.up:up", OPERATE),
    ("gateway", "gateway.cli.serve:gateway", OPERATE),
    ("cluster", "gateway.cli.cluster:cluster", OPERATE),
    ("pki", "gateway.cli.pki:app", BUILD),
    ("token", "gateway.cli.token:app", BUILD),
    ("convert", "gateway.cli.convert:convert", BUILD),
):
    app.command(target, name=name, group=group)

policy = App(name="policy", help="Rego: try the rules before they rule.", group=BUILD)
policy.command("gateway.cli.policy:test", name="test")
policy.command("gateway.cli.policy:check", name="check")
app.command(policy)


def main() -> None:
    """Entry point of the distribution. A command returns its exit code, or None for success."""
    sys.exit(app())


if __name__ == "__main__":
    main()
