false_rule := false

default rule_with_default := "d"

rule_with_default := "e" if input.pri == 5

obj_rule["a"] := 1

obj_rule["b"] := 2 if input.pri == 5

set_rule contains "p"

set_rule contains g if some g in input.groups

names contains t.name if some t in input.tasks

needs_of[t.name] := t.needs if some t in input.tasks

blocked contains "b"

any_admin if input.groups[_] == "admin"

every_named if {
	every t in input.tasks { t.image }
}

all_named if {
	every t in input.tasks { t.name }
}

task_named(n) if input.tasks[_].name == n

size_word(1) := "one"

size_word(n) := "big" if n > 5

up(s) := upper(s)

fake(_) := "F"

host(image) := split(image, "/")[0]

graded("a", n) := n + 1

graded("c", n) := n

name_in({"name": q}) := q

pair_in({"name": q, "needs": d}) := [q, d] if {
	# a comment
	q != "zz"
}

coded({"name": q}) := 1 if q == "a" else := 2

wide({"name": q, "needs": _}, [_, {"b": c}]) := [q, c] if c > 1

pat if {
	{"name": _} = input.user
}

fl(ts) := ts[_].env.A

fm(i) := i.tasks[_].env.A if i.pri == 5

hl := input.tasks[_].env.A

half(n) := n / 2 if n > 0

same(a, b) if a == b
