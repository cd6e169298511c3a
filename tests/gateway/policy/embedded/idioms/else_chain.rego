package idiom

tier := "gold" if {
	input.workflow.metadata.labels.tier == "gold"
} else := "silver" if {
	count(input.workflow.spec.tasks) > 2
} else := "bronze"

grade(n) := "high" if n > 7

else := "mid" if n > 3

else := "low"

g := grade(input.workflow.spec.priority)
