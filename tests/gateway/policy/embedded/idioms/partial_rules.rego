package idiom

deny contains msg if {
	some i, task in input.workflow.spec.tasks
	not task.resources.cpu
	msg := sprintf("task %d (%s): no cpu", [i, task.name])
}

deny contains "none" if count(input.workflow.spec.tasks) == 0
