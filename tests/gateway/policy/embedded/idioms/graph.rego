package idiom

needs := {t.name: object.get(t, "needs", []) | some t in input.workflow.spec.tasks}
reach := graph.reachable(needs, ["t2"])

circle contains name if {
	some name, before in needs
	some one in before
	name in graph.reachable(needs, [one])
}
