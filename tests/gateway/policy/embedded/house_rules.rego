# Twenty house rules in the ways that authors write them, to compare engines with.
package waypost.house

spec := input.workflow.spec

labels := input.workflow.metadata.labels

# 1: a mandatory label
submit contains {"rule": "h01", "message": "label team"} if not labels.team

# 2: several of them, by a difference of sets
submit contains {"rule": "h02", "message": sprintf("labels %v", [missing])} if {
	missing := {"cost", "owner"} - {name | labels[name]}
	count(missing) > 0
}

# 3: a negated call on what may be missing
submit contains {"rule": "h03", "message": "stage"} if not startswith(labels.stage, "prod")

# 4: images by digest
submit contains {"rule": "h04", "message": msg} if {
	some task in spec.tasks
	not regex.match(`@sha256:[a-f0-9]{8}`, task.run.image)
	msg := sprintf("task <%s>", [task.name])
}

# 5: a default, and a rule that needs it
default trusted := false

trusted if input.principal.client in {"ci", "nightly"}

submit contains {"rule": "h05", "message": "client"} if {
	not trusted
	spec.priority > 5
}

# 6: every
submit contains {"rule": "h06", "message": "commands"} if {
	not all_short
}

all_short if {
	every task in spec.tasks {
		count(task.run.command) < 3
	}
}

# 7: object.get with a default
submit contains {"rule": "h07", "message": "tier"} if {
	object.get(labels, "tier", "bronze") == "bronze"
	spec.priority >= 7
}

# 8: a function with an else
size(task) := n if {
	n := task.resources.memoryMiB
} else := 512

submit contains {"rule": "h08", "message": task.name} if {
	some task in spec.tasks
	size(task) > 2048
}

# 9: an index variable
submit contains {"rule": "h09", "message": sprintf("task %d", [i])} if {
	some i
	spec.tasks[i].run.command[0] == "curl"
}

# 10: walk
submit contains {"rule": "h10", "message": concat(".", path)} if {
	walk(spec.params, [path, value])
	is_string(value)
	contains(lower(value), "secret")
	every step in path {
		is_string(step)
	}
}

# 11: limits of the tenant, from data
submit contains {"rule": "h11", "message": "budget"} if {
	count(spec.tasks) > data.house.budgets[input.principal.tenant]
}

# 12: a loop in the head
banned contains data.house.banned[_]

submit contains {"rule": "h12", "message": type} if {
	some type in banned & {task.type | some task in spec.tasks}
}

# 13: two loops
submit contains {"rule": "h13", "message": "needs"} if {
	some task in spec.tasks
	some need in task.needs
	not need in {other.name | some other in spec.tasks}
}

# 14: a comparison of what may be missing
submit contains {"rule": "h14", "message": "class"} if not spec.dataClass == "public"

# 15: arithmetic below a not
submit contains {"rule": "h15", "message": "sum"} if not spec.priority + count(spec.tasks) < 9

# 16: an object by comprehension
by_type[task.type] contains task.name if some task in spec.tasks

submit contains {"rule": "h16", "message": type} if {
	some type, names in by_type
	count(names) > 3
}

# 17: an alternative of values, and a helper in the same rule
allowed_types := {"process", "delay"} if labels.team == "etl"

else := {"process", "docker"}

submit contains {"rule": "h17", "message": type} if {
	some type in {task.type | some task in spec.tasks} - allowed_types
}

# 18: a partial object with values that may be missing
owners[name] := data.house.owners[name] if some name in ["a", "b", "etl", "ml"]

submit contains {"rule": "h18", "message": "owner"} if not owners[labels.team]

# 19: a pattern from data
submit contains {"rule": "h19", "message": "name"} if {
	some pattern in data.house.names
	not regex.match(pattern, input.workflow.metadata.name)
}

# 20: a sentence alone
submit contains "weekends are quiet" if {
	time.weekday(input.at * 1000000000) in {"Saturday", "Sunday"}
	not "oncall" in input.principal.groups
}

# Regions that are closed, by data class and by the hour
closed contains {"region": region, "rule": "h21", "message": sprintf("%s is closed to gold", [region])} if {
	labels.tier == "gold"
	some region in {"beijing", "shenzhen"}
}

closed contains "shanghai" if {
	spec.dataClass == "public"
	[hour, _, _] := time.clock([input.at * 1000000000, "Asia/Shanghai"])
	hour < 12
}
