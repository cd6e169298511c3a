"""Runs the `opa` program on a policy bundle: compiler checks, tests with coverage, and evaluations."""

import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gateway.policy.bundle import SCHEMAS, Bundle
from gateway.policy.embedded.builtins import BUILTINS, Support
from gateway.policy.service_files import SERVICES_FOLDER, service_files
from gateway.policy.source import Diagnostic

SECONDS: Final = 120.0
NEVER: Final = {name for name, one in BUILTINS.items() if one.support is Support.NEVER}


def check_rules(opa: Path, directory: Path, *, deciding: bool) -> list[Diagnostic]:
    """Runs `opa check` on the bundle in `directory`; returns the problems that it finds.

    Strict mode and the schema of the input are used only if rules decide about actions (`deciding`). Builtins
    that no decision may use are reported as unknown, even in a module that the embedded engine cannot read.
    """
    strict = ("--strict", "--schema", str(SCHEMAS / "input.json")) if deciding else ()
    capabilities = json.loads(_run(opa, "capabilities", "--current"))
    capabilities["builtins"] = [one for one in capabilities["builtins"] if one["name"] not in NEVER]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(capabilities, file)
        file.flush()
        known = ("--capabilities", file.name)
        errors = _errors(_run(opa, "check", "--format", "json", *known, *strict, *_files(directory)))
    if errors:
        # A builtin that is unknown to it keeps it from looking at types: it looks once more with all of them.
        more = _errors(_run(opa, "check", "--format", "json", *strict, *_files(directory)))
        errors += [error for error in more if error not in errors]
    return [_diagnostic(directory, error) for error in errors]


def _errors(report: str) -> list[dict[str, Any]]:
    return list(json.loads(report or "{}").get("errors", ()))


def test_rules(opa: Path, directory: Path) -> tuple[list[Diagnostic], str]:
    """Runs the bundle's Rego tests in OPA; returns the failures, and a sentence about their coverage."""
    files = _files(directory)
    report = json.loads(_run(opa, "test", "--format", "json", *files) or "[]")
    if not isinstance(report, list):
        return [_diagnostic(directory, error) for error in report.get("errors", ())], ""
    failed = [
        Diagnostic(
            file=_relative(directory, test["location"]["file"]),
            line=test["location"]["row"],
            detail=f"{test['name']}: fails in OPA",
        )
        for test in report
        if test.get("fail") or test.get("error")
    ]
    return failed, "" if failed or not report else _coverage(opa, directory, files)


def evaluate(opa: Path, bundle: Bundle, rule: str, document: bytes, *, folder: Path) -> str:
    """Evaluates `rule` for the input `document` with OPA; returns the rule's value as JSON.

    The bundle is written to `folder`. Returns an empty text where the rule is undefined. Raises `ValueError`
    with OPA's error messages, also for an error in a builtin function.
    """
    answer = _evaluated(opa, bundle, rule, document, folder, "--strict-builtin-errors")
    if errors := answer.get("errors"):
        raise ValueError("; ".join(error["message"] for error in errors))
    result = answer.get("result")
    return json.dumps(result[0]["expressions"][0]["value"]) if result else ""


def count_evaluations(opa: Path, bundle: Bundle, rule: str, document: bytes) -> Counter[tuple[str, int]]:
    """Counts how often OPA evaluates each line of each file to find the value of `rule` for `document`.

    Raises `subprocess.TimeoutExpired` where that takes longer than `SECONDS`.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = ("--profile", "--profile-limit", "100000")
        answer = _evaluated(opa, bundle, rule, document, Path(folder), *options)
        counts = Counter[tuple[str, int]]()
        for line in answer.get("profile", ()):
            place = line["location"]
            counts[_relative(Path(folder), place["file"]), place["row"]] += line["num_eval"]
    return counts


def _evaluated(opa: Path, bundle: Bundle, rule: str, document: bytes, folder: Path, *options: str) -> Any:
    for name, text in bundle.source.modules:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "data.json").write_text(bundle.source.data)
    found = subprocess.run(
        [opa, "eval", *options, "--bundle", folder, "--stdin-input", "--format", "json", rule],
        input=document,
        capture_output=True,
        timeout=SECONDS,
        check=False,
        env={},
    )
    return json.loads(found.stdout or "{}")


def _coverage(opa: Path, directory: Path, files: list[str]) -> str:
    report = json.loads(_run(opa, "test", "--coverage", "--format", "json", *files) or "{}")
    missed = list(dict.fromkeys(_missed(directory, report.get("files", {}))))
    shown = f"; never reached: {', '.join(missed[:10])}{' ...' if len(missed) > 10 else ''}" if missed else ""
    # Rounded down: it is not all of them while some are named.
    return f"tests reach {int(report.get('coverage', 0))} % of the lines{shown}"


def _missed(directory: Path, files: dict[str, Any]) -> Iterator[str]:
    for file, lines in sorted(files.items()):
        for part in lines.get("not_covered", ()):
            start, end = part["start"]["row"], part["end"]["row"]
            yield f"{_relative(directory, file)}:{start}" + (f"-{end}" if end > start else "")


def _run(opa: Path, *arguments: str) -> str:
    """Runs the `opa` program with an empty environment, and returns what it prints.

    A policy rule could print the environment (`opa.runtime`).
    """
    found = subprocess.run(
        [opa, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False, env={}
    )
    # `opa check` writes its errors to standard error.
    return found.stdout if found.stdout.strip() else found.stderr


def _files(directory: Path) -> list[str]:
    data = directory / "data.json"
    files = [str(path) for path in (*sorted(directory.rglob("*.rego")), *([data] if data.exists() else []))]
    # Of a file that is named OPA does not see in which folder it is.
    return files + [f"{SERVICES_FOLDER}:{path}" for path in service_files(directory)]


def _diagnostic(directory: Path, error: dict[str, Any]) -> Diagnostic:
    place = error.get("location") or {"file": "", "row": 0}
    detail = " ".join(str(error.get("message", "an error without a message")).split())
    return Diagnostic(
        file=_relative(directory, place["file"]), line=place["row"], detail=f"{detail} (opa check)"
    )


def _relative(directory: Path, file: str) -> str:
    path = Path(file)
    return path.relative_to(directory).as_posix() if path.is_relative_to(directory) else file
