"""Tests that rules evaluate the same under short names, and keep their own where those could mean another."""

from typing import Any

import msgspec
import pytest

from gateway.policy.embedded.interpreter import Interpreter, PreparedRules, RuleFailed, prepare_rules
from gateway.policy.embedded.rewriting.short_names import PACKAGE
from gateway.policy.source import PolicySource

CALLER = """package a.caller

limits := data.tenants[tenant]

default tenant := "nobody"

tenant := input.tenant

foreign(tenant) if tenant != limits.name
"""
DOCUMENT = """# A document.
package a.document

import data.a.caller
import data.a.missing

deny contains {"rule": "cap", "of": caller.tenant} if input.priority > caller.limits.cap

deny contains {"rule": "foreign"} if caller.foreign(input.tenant)

deny contains {"rule": "house"} if missing.submit

sizes[name] := size if some name, size in data.a.caller.limits.sizes

deep.er contains 1

decision := {"deny": deny, "sizes": sizes, "deep": deep.er, "limits": {"limits": caller.limits.cap}}
"""
DATA = {"tenants": {"t": {"name": "t", "cap": 3, "sizes": {"x": 1, "y": 2}}}}


def prepared(*modules: tuple[str, str], data: Any = None) -> PreparedRules:
    text = msgspec.json.encode(DATA if data is None else data).decode()
    return prepare_rules(PolicySource(modules=modules, data=text, entry_points=("data.a.document.decision",)))


def test_rules_of_several_packages_mean_the_same_under_short_names() -> None:
    """With imports, functions, defaults, keys, an argument named as a rule, and a rule that there is not."""
    rules = prepared(("caller.rego", CALLER), ("document.rego", DOCUMENT))
    assert all(text.startswith(f"package {PACKAGE}\n") for _, text in rules.modules)
    assert not any("caller" in text for _, text in rules.modules)
    found = Interpreter(rules).evaluate("data.a.document.decision", b'{"tenant": "t", "priority": 5}')
    assert msgspec.json.decode(found) == {
        "deny": [{"rule": "cap", "of": "t"}],
        "sizes": {"x": 1, "y": 2},
        "deep": [1],
        "limits": {"limits": 3},
    }


@pytest.mark.parametrize(
    ("module", "data"),
    [
        ("package a.document\n\nimport data.a.caller\n\ndecision := caller", None),
        ("package a.document\n\ndecision := data.a[input.tenant].limits", None),
        ("package a.document\n\ndecision if data.a.caller.limits.cap == 3 with input.tenant as 1", None),
        ("package a.document\n\ndecision if { x := 1; x == 1 }\n\nx := 2", None),
        ('package a.document\n\ndecision := data.a["caller"].limits', None),
        ("package a.document\n\ndecision := r__1 if r__1 := 1", None),
        ("package a\n\ncaller.more := 1", None),
        ("package a.document\n\ndecision := data.a.caller.limits", {"a": {"caller": {"limits": 1}}}),
        ("package a.document\n\ndecision := data.r__.x", {"r__": {"x": 1}}),
    ],
)
def test_rules_keep_their_names_where_short_ones_could_mean_another(module: str, data: Any) -> None:
    """Of packages as a whole, computed names, replaced values, variables named as rules, and data."""
    rules = prepared(("caller.rego", CALLER), ("document.rego", module), data=data)
    assert not rules.names
    assert not any(text.startswith(f"package {PACKAGE}\n") for _, text in rules.modules)


def test_a_rule_that_fails_is_named_by_its_own_file_and_line() -> None:
    broken = "package a.document\n\n# Why.\n\ndecision := 1 if {\n\tto_number(input.tenant)\n}\n"
    rules = prepared(("caller.rego", CALLER), ("document.rego", broken))
    assert rules.names
    with pytest.raises(RuleFailed, match=r"^document\.rego:6: "):
        Interpreter(rules).evaluate("data.a.document.decision", b'{"tenant": "x"}')
