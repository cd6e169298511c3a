package idiom

deny contains "p" if not input.workflow.spec.priority > 3
deny contains "q" if not input.workflow.spec.deadlineSeconds < 100
deny contains "r" if not count(input.workflow.spec.tasks) > 2

deny contains "s" if {
	some t in input.workflow.spec.tasks
	not startswith(t.run.image, "ghcr")
}

deny contains "t" if not input.workflow.metadata.labels.team in {"etl", "ml"}
deny contains "u" if not lower(input.workflow.metadata.labels.team) == "etl"
