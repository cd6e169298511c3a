# What a workflow asks for against what its tenant may: the same when it is submitted, placed and tried again.
#
# Values that may be absent are bound with `=`, which fails where there is none: see the embedded engine's subset.
package waypost.document

import rego.v1

spec := input.workflow.spec

limits := data.tenants[data.waypost.caller.owner]

refusals contains {"rule": "document.missing", "message": "document: there is none to decide about"} if not is_object(spec)

refusals contains {"rule": "tenant.foreign", "message": message} if {
	tenant = input.workflow.metadata.tenant
	data.waypost.caller.foreign(tenant)
	own = input.principal.tenant
	message := sprintf("tenant: %s may not submit for %s", [own, tenant])
}

# Images. A submission waits for this: each image is looked at once, however many tasks use it, and none where nothing is banned.

refusals contains {"rule": "image.banned", "message": message} if {
	count(banned_images) > 0
	some task in spec.tasks
	task.run.image in banned_images
	name = task.name
	image = task.run.image
	message := sprintf("image: task %s uses %s", [name, image])
}

refusals contains {"rule": "image.unreadable", "message": message} if {
	count(unreadable_images) > 0
	some task in spec.tasks
	task.run.image in unreadable_images
	name = task.name
	message := sprintf("image: task %s must name its image in full, without a placeholder", [name])
}

images contains image if {
	count(data.banned_images) > 0
	some task in spec.tasks
	image = task.run.image
	image != null
}

banned_images contains image if {
	some image in images
	is_string(image)
	some banned in data.banned_images
	matches(image, banned)
}

unreadable_images contains image if {
	some image in images
	not legible(image)
}

legible(image) if {
	is_string(image)
	not contains(image, "${")
}

matches(image, banned) if startswith(lower(image), lower(banned))

matches(image, banned) if startswith(full_name(image), lower(banned))

# As a container runtime reads it: the letter case of a registry does not count, and without a registry it is Docker's own.
full_name(image) := name if {
	name = undockered(image)
	has_registry(name)
}

full_name(image) := sprintf("docker.io/%s", [name]) if {
	name = undockered(image)
	not has_registry(name)
	contains(name, "/")
}

full_name(image) := sprintf("docker.io/library/%s", [name]) if {
	name = undockered(image)
	not contains(name, "/")
}

undockered(image) := regex.replace(lower(image), `^((index|registry-1)\.)?docker\.io(:443)?/`, "")

has_registry(name) if regex.match(`^([^/]*[.:][^/]*|localhost)/`, name)

# Executors

refusals contains {"rule": "executor.banned", "message": message} if {
	count(data.banned_executors) > 0
	some type in types
	type in data.banned_executors
	message := sprintf("executor: %s is banned", [type])
}

refusals contains {"rule": "executor.tenant", "message": message} if {
	is_array(limits.executors)
	some type in types
	not type in limits.executors
	message := sprintf("executor: %s is not among those of the tenant", [type])
}

types := {type |
	some task in spec.tasks
	type = task.type
}

# Sizes

refusals contains {"rule": "priority.cap", "message": message} if {
	asked = spec.priority
	cap = limits.max_priority
	asked > cap
	message := sprintf("priority: %v is above the tenant's cap of %v", [asked, cap])
}

refusals contains {"rule": "shards.maximum", "message": message} if {
	cap = limits.max_shards
	asked = shards
	asked > cap
	message := sprintf("shards: %v, and the tenant may have %v", [asked, cap])
}

shards := count(spec.shards.items) if is_array(spec.shards.items)

shards := spec.shards.count if not is_array(spec.shards.items)

refusals contains {"rule": "deadline.maximum", "message": message} if {
	asked = spec.deadlineSeconds
	cap = limits.max_deadline_seconds
	asked > cap
	message := sprintf("deadline: %v s, and the tenant may have %v s", [asked, cap])
}

# Regions

refusals contains {"rule": "residency.unknown", "message": message} if {
	class = spec.dataClass
	class != null
	not is_array(data.residency[class])
	message := sprintf("residency: data class %v is not known here", [class])
}

resident(_) if not is_string(spec.dataClass)

resident(region) if region in data.residency[spec.dataClass]

permitted contains region if {
	some region in limits.regions
	resident(region)
}

refusals contains {"rule": "placement.nowhere", "message": "placement: no region is permitted"} if count(permitted) == 0

# Among those that are permitted the placement goes by what the document wishes; where they have none in common, it has no place.
refusals contains {"rule": "placement.wishes", "message": message} if {
	count(permitted) > 0
	count(spec.placement.regions) > 0
	count(permitted & {wish | some wish in spec.placement.regions}) == 0
	names = concat(", ", permitted)
	message := sprintf("placement: none of the wished regions is permitted, only %s", [names])
}

# What a permitted run is bound to.
obligations := object.union(object.filter(limits, caps), {"regions": permitted})

caps := ["max_priority", "max_shards", "max_deadline_seconds"]
