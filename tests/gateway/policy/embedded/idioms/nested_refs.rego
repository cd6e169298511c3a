package idiom

limits.cpu := 4
limits.mem := 1024
limits.by[name] := 1 if some name in ["a", "b"]

deny contains t.name if {
	some t in input.workflow.spec.tasks
	t.resources.memoryMiB > limits.mem
}

all_limits := limits
config.x.y.z := 1
