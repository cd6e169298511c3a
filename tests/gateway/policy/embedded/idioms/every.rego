package idiom

default ok := false

ok if {
	every task in input.workflow.spec.tasks {
		every need in task.needs {
			some other in input.workflow.spec.tasks
			other.name == need
		}
	}
}

ok_kv if every k, v in input.workflow.metadata.labels { startswith(k, "t"); v != ""}
