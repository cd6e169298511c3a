package idiom

team := object.get(input.workflow.metadata.labels, "team", "nobody")
deep := object.get(input, ["workflow", "spec", "params", "a", "b"], "none")

mem[t.name] := m if {
	some t in input.workflow.spec.tasks
	m := object.get(object.get(t, "resources", {}), "memoryMiB", 256)
}

deny contains "cost" if object.get(input.workflow.metadata.labels, "cost", "") == ""
