package idiom

by_type := {type: names |
	some t in input.workflow.spec.tasks
	type := t.type
	names := {u.name | some u in input.workflow.spec.tasks; u.type == type}
}

counts[type] := count(names) if some type, names in by_type
total := sum([object.get(t, ["resources", "cpu"], 1) | some t in input.workflow.spec.tasks])
biggest := max({c | some c in counts})

dup contains n if {
	some i, a in input.workflow.spec.tasks
	some j, b in input.workflow.spec.tasks
	i < j
	a.name == b.name
	n := a.name
}
