"""Generates small Rego rules by chance, from a grammar of what authors write about such documents.

The names that a rule uses are those of the documents in `comparison.py` and of the rules in `beside.rego`.
"""

import re
from random import Random
from typing import Final

ATOMS: Final = {
    "string": """"a"; "x"; "admin"; ""; input.labels.team; input.tasks[0].name; input.user.name;
        input.missing; rule_with_default; host(input.tasks[0].image); input.labels[input.zz]""",
    "number": """0; 2; 5; 1.5; input.pri; obj_rule.b; data.limits.x.cpu; count(input.groups); half(input.pri);
        graded(input.tasks[0].name, 1); input.tasks[0].res.cpu; count(set_rule)""",
    "list": """[]; ["a", "b"]; input.groups; input.tasks; input.tasks[1].needs; data.allowed; [1, 2, 2];
        input.user.roles; [input.pri, null]""",
    "set": """{"a", "b"}; set_rule; names; blocked; {1, 2}; set(); {input.pri}""",
    "object": """{}; {"a": 1}; input.labels; input.user; input.tasks[0].env; obj_rule; needs_of; data.limits;
        {"a": input.pri}""",
    "bool": "true; false; input.flag; false_rule; every_named; any_admin; pat",
    "any": """null; input; input.tasks[0]; input.absent; input.user.name.x; up(input.labels.team)""",
}
"""Expressions without others in them, by the kind of their value."""
COMPOUNDS: Final = {
    "string": """upper(<string>); concat("-", [<string>, <string>]); sprintf("%v/%v", [<string>, <number>]);
        lower(<string>); trim_prefix(<string>, <string>); object.get(<object>, "team", <string>);
        replace(<string>, "a", "b"); type_name(<any>); <object>.name; substring(<string>, 0, 1)""",
    "number": """<number> + <number>; <number> * 2; count(<list>); <number> - 1; sum(<list>); max(<list>);
        to_number(<string>); count(<set>); <number> % 2; <number> / <number>; abs(<number>); min(<set>)""",
    "list": """sort(<list>); array.concat(<list>, <list>); split(<string>, "/"); [<string>, <number>];
        [<list>, <set>]; array.reverse(<list>); numbers.range(1, <number>); [<comprehension>]""",
    "set": """<set> | <set>; <set> & <set>; <set> - <set>; {<string>, <number>}; object.keys(<object>);
        {<comprehension>}""",
    "object": """{"n": <number>, "s": <string>}; object.union(<object>, <object>); {<string>: <list>};
        object.remove(<object>, ["team"]); object.filter(<object>, ["team", "name"]); {<pairs>}""",
    "bool": """<number> > 2; <string> == <string>; (<string> in <set>); <call>; is_array(<list>);
        is_number(<any>)""",
    "any": """object.get(<object>, <string>, <number>); <list>[0]; <object>.name; <list>[_]; <object>[_];
        <set>[_]""",
}
"""Expressions with others in them, by the kind of their value."""
CALLS: Final = """startswith(<string>, <string>); task_named(<string>); contains(<string>, <string>);
    size_word(<number>); half(<number>); regex.match(`^[a-z]+$`, <string>); same(<string>, <number>);
    graded(<string>, <number>); is_string(<string>); is_null(<any>); host(<string>)"""
STATEMENTS: Final = """<comparison>; <comparison>; <comparison>; not <comparison>; not <comparison>;
    not <any> in <set>; not <any> in <list>; not <string>; not <call>; some <new any> in <list>;
    some <new any> in <object>; some <new any> in <set>; some <new any>, <new any> in <list>;
    some <new any>, <new any> in <object>; some {"name": <new string>} in <list>; <new string> := <string>;
    <new number> := <number>; <new list> := <list>; <new set> := <set>; <new bool> := <bool>;
    <new object> := <object>; <any> in <list>; <string> in <set>; <number> in <object>; <bool>; <any>;
    [<new any>, _] = <list>; [<new any>, <new any>] = <list>; {"name": <new string>} = <object>;
    <new string> := input.tasks[_].name; <new string> := input.groups[_]; <every>; <mocked>; <string>"""
EVERY: Final = (
    "every <new any> in <list>",
    "every <new any> in <set>",
    "every <new string>, <new any> in <object>",
)
KINDS: Final = tuple(ATOMS)
NAMES: Final = "abcdemnpqsuvwyz"
HOLE: Final = re.compile(r"<((?:new )?[a-z]+)>")


def forms(text: str) -> list[str]:
    return [" ".join(form.split()) for form in text.split(";")]


class RuleGenerator:
    """Generates rules from the numbers of `random`; the same seed gives the same rules."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._scope: list[tuple[str, str]] = []
        """The local names that have a value where the text goes on, each with the kind of its value."""
        self._used = 0

    def rule(self) -> str:
        """Returns the text of a rule `x`; its `else`, or the function that it calls, is in other lines."""
        self._scope, self._used = [], 0
        body, value = self._body(), self._expression(self._kind(), 2)
        match self._random.randrange(8):
            case 0 | 1:
                return f"x := {value} if {body}"
            case 2:
                return f"x contains {value} if {body}"
            case 3:
                return f"x[{self._expression('string', 1)}] := {value} if {body}"
            case 4 | 5:
                return f"x if {body}"
            case 6:
                return self._chain(f"x := {value} if {body}")
        return self._through_function()

    def _chain(self, first: str) -> str:
        self._scope = []
        body = self._body()
        rest = f"else := {self._expression(self._kind(), 1)} if {body}"
        return f"{first}\n{rest}" if self._chance(0.6) else f"default x := 7\n\n{first}\n{rest}"

    def _through_function(self) -> str:
        self._scope = []
        call = f"fun({self._expression(self._kind(), 1)}, {self._expression(self._kind(), 1)})"
        self._scope = [("p", self._kind()), ("q", self._kind())]
        body = self._body()
        function = f"fun(p, q) := {self._expression(self._kind(), 1)} if {body}"
        head = self._random.choice(("x := {}", "x if not {}", "x if {}", "x contains {}", "x := [1 | {}]"))
        return f"{head.format(call)}\n\n{function}"

    def _body(self) -> str:
        return f"{{ {'; '.join(self._statement(2) for _ in range(self._random.randint(1, 3)))} }}"

    def _statement(self, depth: int) -> str:
        return self._filled(self._random.choice(forms(STATEMENTS)), depth)

    def _filled(self, form: str, depth: int) -> str:
        """Returns a form with what its holes stand for; a new name has its value only behind the form."""
        new = list[tuple[str, str]]()

        def fill(hole: re.Match[str]) -> str:
            announced, _, kind = hole[1].rpartition(" ")
            if not announced:
                return self._hole(kind, depth)
            new.append((f"{NAMES[self._used % len(NAMES)]}{self._used}", kind))
            self._used += 1
            return new[-1][0]

        text = HOLE.sub(fill, form)
        self._scope += new
        return text

    def _hole(self, kind: str, depth: int) -> str:
        outside = list(self._scope)
        match kind:
            case "comparison":
                return self._comparison(depth)
            case "call":
                return self._filled(self._random.choice(forms(CALLS)), depth - 1)
            case "mocked":
                target = self._random.choice(("input.labels", "input.pri", "input.groups", "data.allowed"))
                value = self._random.choice(forms(ATOMS[self._kind()]))
                return f"{self._comparison(depth - 1)} with {target} as {value}"
            case "comprehension":
                body = "; ".join(self._statement(1) for _ in range(self._random.randint(1, 2)))
                text = f"{self._expression(self._kind(), 1)} | {body}"
            case "pairs":
                body = self._filled("some <new string>, <new any> in <object>", 1)
                text = f"{self._expression('string', 0)}: {self._expression(self._kind(), 1)} | {body}"
            case "every":
                head = self._filled(self._random.choice(EVERY), 1)
                inner = self._random.choice(("<comparison>", "not <call>", "<any>", "not <comparison>"))
                text = f"{head} {{ {self._filled(inner, 1)} }}"
            case _:
                return self._expression(kind, depth - 1)
        self._scope = outside
        return text

    def _comparison(self, depth: int) -> str:
        kind = self._kind()
        other = kind if self._chance(0.8) else self._kind()
        # Of a set and an object the engines order one before the other differently, which docs/rules.md says.
        ordered = not {kind, other} & {"set", "object", "list", "any"}
        operator = self._random.choice(("==", "==", "!=", "<", ">", "<=", ">=") if ordered else ("==", "!="))
        return f"{self._expression(kind, depth)} {operator} {self._expression(other, depth)}"

    def _expression(self, kind: str, depth: int) -> str:
        known = [name for name, of in self._scope if of in (kind, "any")]
        if known and self._chance(0.5):
            name = self._random.choice(known)
            field = self._random.choice((".name", "[0]", ".env.A", "[_]"))
            return f"{name}{field}" if self._chance(0.3) else name
        if depth <= 0 or self._chance(0.5):
            return self._random.choice(forms(ATOMS[kind]))
        return self._filled(self._random.choice(forms(COMPOUNDS[kind])), depth)

    def _kind(self) -> str:
        return self._random.choice(KINDS)

    def _chance(self, share: float) -> bool:
        return self._random.random() < share
