"""Tests the recorded text of an evaluator's error: it finds the rule, and shows no value of a document."""

import pytest

from gateway.policy.fault_texts import of_answer, of_interpreter, of_opa

CANARY = "CANARY-7"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("submission/a.rego:5: divide by zero", "submission/a.rego:5: divide by zero"),
        ("a.rego:5: could not parse string as number", "a.rego:5: could not parse string as number"),
        (
            f'a.rego:5: `abs` expects numeric argument. Got `"{CANARY}"` instead',
            "a.rego:5: `abs` expects numeric argument",
        ),
        (f"a.rego:5: Error parsing {CANARY}: invalid IP address syntax", "a.rego:5: a builtin or rule fails"),
        (f"invalid duration: {CANARY}", "rules: a builtin or rule fails"),
        (
            f"a.rego:5: extension 'indexof' raises Python error: ValueError: {CANARY}",
            "a.rego:5: indexof fails",
        ),
        (f"a.rego:5: `{CANARY}` expects {CANARY} argument", "a.rego:5: a builtin or rule fails"),
        (f"the evaluator panicked: {CANARY}", "rules: the evaluator panicked"),
    ],
)
def test_the_interpreter_s_error_keeps_its_place_and_no_value(text: str, kept: str) -> None:
    assert of_interpreter(text) == kept


@pytest.mark.parametrize(
    ("code", "message", "kept"),
    [
        (
            "eval_builtin_error",
            f'to_number: strconv.ParseFloat: parsing "{CANARY}": invalid syntax',
            "eval_builtin_error: to_number fails",
        ),
        (
            "eval_builtin_error",
            f"net.cidr_contains: invalid CIDR address: {CANARY}",
            "eval_builtin_error: net.cidr_contains fails",
        ),
        ("eval_builtin_error", f"{CANARY}: x", "eval_builtin_error"),
        ("eval_builtin_error", "div: divide by zero", "eval_builtin_error: divide by zero"),
        (
            "eval_conflict_error",
            "complete rules must not produce multiple outputs",
            "eval_conflict_error: complete rules must not produce multiple outputs",
        ),
        (CANARY, f"canary: {CANARY}", "an error"),
    ],
)
def test_opa_s_error_keeps_its_place_code_and_builtin(code: str, message: str, kept: str) -> None:
    assert of_opa(code, message, file="a.rego", row=5) == f"a.rego:5: {kept}"
    assert of_opa(code, message, file=CANARY, row=5) == f"rules: {kept}"


def test_a_name_or_value_in_an_answer_is_left_out() -> None:
    text = f"Object contains unknown field `{CANARY}` - at `$.reasons[0]`"

    assert of_answer(text) == "Object contains ... - at `$.reasons[0]`"
    assert (
        of_answer(f"Invalid enum value '{CANARY}' - at `$.levels`")
        == "Invalid enum value ... - at `$.levels`"
    )
