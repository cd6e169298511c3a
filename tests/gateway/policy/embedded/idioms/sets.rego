package idiom

need := {"team", "cost", "owner"}
have := {k | some k, _ in input.workflow.metadata.labels}
have2 := object.keys(input.workflow.metadata.labels)
missing := need - have
both := need & have2
all_ := need | have
deny contains sprintf("missing %s", [concat(", ", sort(missing))]) if count(missing) > 0
ok if missing == set()
