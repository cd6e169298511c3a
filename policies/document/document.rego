# Decides what a document may ask for: sizes, executors and regions. Evaluated at submission, placement and retry.
package waypost.document

import data.waypost.caller

deny contains {"rule": "document.missing", "message": "document: there is none to decide about"} if not input.workflow.spec.tasks

deny contains {"rule": "tenant.foreign", "message": message} if {
	input.workflow.metadata.tenant != input.principal.tenant
	caller.foreign(input.workflow.metadata.tenant)
	message := sprintf("tenant: %s may not submit for %s", [input.principal.tenant, input.workflow.metadata.tenant])
}

# Sizes

deny contains {"rule": "priority.cap", "message": message} if {
	cap := caller.limits.max_priority
	input.workflow.spec.priority > cap
	message := sprintf("priority: %d is above the tenant's cap of %d", [input.workflow.spec.priority, cap])
}

deny contains {"rule": "shards.maximum", "message": message} if {
	maximum := caller.limits.max_shards
	shards > maximum
	message := sprintf("shards: %d, and the tenant may have %d", [shards, maximum])
}

shards := count(input.workflow.spec.shards.items) if {
	is_array(input.workflow.spec.shards.items)
} else := input.workflow.spec.shards.count

deny contains {"rule": "deadline.maximum", "message": message} if {
	seconds := input.workflow.spec.deadlineSeconds
	seconds > caller.limits.max_deadline_seconds
	message := sprintf("deadline: %v s, and the tenant may have %v s", [seconds, caller.limits.max_deadline_seconds])
}

deny contains {"rule": "deadline.maximum", "message": message} if {
	seconds := input.workflow.spec.finallySeconds
	seconds > caller.limits.max_deadline_seconds
	message := sprintf("finally: %v s, and the tenant may have %v s", [seconds, caller.limits.max_deadline_seconds])
}

# Executors. The tasks of `collect` and `finally` are among `spec.tasks` too.

deny contains {"rule": "executor.banned", "message": message} if {
	some type in data.banned_executors
	type in types
	message := sprintf("executor: %s is banned", [type])
}

deny contains {"rule": "executor.tenant", "message": message} if {
	allowed := caller.limits.executors
	some type in types
	not type in allowed
	message := sprintf("executor: %s is not among those of the tenant", [type])
}

types := {task.type | some task in input.workflow.spec.tasks}

# Regions: where the tenant may be, and its data too.

deny contains {"rule": "residency.unknown", "message": message} if {
	input.workflow.spec.dataClass != null
	offered == set() # a class with a region is known
	not data.residency[input.workflow.spec.dataClass]
	message := sprintf("residency: data class %s is not known here", [input.workflow.spec.dataClass])
}

deny contains {"rule": "placement.nowhere", "message": "placement: no region is permitted"} if permitted == set()

# Placement chooses among permitted regions by what the document wishes: without one in common it has no place.
deny contains {"rule": "placement.wishes", "message": message} if {
	input.workflow.spec.placement.regions != []
	permitted != set()
	permitted & wishes == set()
	message := sprintf("placement: none of the wished regions is permitted, only %s", [concat(", ", permitted)])
}

wishes := {region | some region in input.workflow.spec.placement.regions}

offered := {region | some region in data.residency[input.workflow.spec.dataClass]; region in caller.limits.regions} if {
	input.workflow.spec.dataClass != null
} else := {region | some region in caller.limits.regions}

# The obligations of a permitted run.
obligations := object.union(
	object.filter(caller.limits, [
		"max_priority", "max_shards", "max_deadline_seconds",
		"max_open_runs", "max_open_shards", "max_open_tasks", "requests_per_second", "weight", "semaphores",
	]),
	{"regions": permitted},
)
