# Checks a workflow against the limits of its tenant, alike at submission, placement and retry.
#
# Values that may be absent are bound with `=`, which fails where there is none, and the types of arguments
# are tested before a function is called: the subset of Rego that the embedded engine accepts demands both.
package waypost.document

import rego.v1

spec := input.workflow.spec

limits := data.tenants[data.waypost.caller.owner]

refusals contains {"rule": "document.missing", "message": "document: there is none to decide about"} if not described

described if is_object(spec)

refusals contains {"rule": "tenant.foreign", "message": message} if {
	tenant = input.workflow.metadata.tenant
	data.waypost.caller.foreign(tenant)
	own = input.principal.tenant
	message := sprintf("tenant: %s may not submit for %s", [own, tenant])
}

# Images. A submission waits for this: each image is checked once, however many tasks use it, and none is
# where no image is banned.

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
	legible(image)
	name = full_name(image)
	some banned in bans
	startswith(name, banned)
}

unreadable_images contains image if {
	some image in images
	not legible(image)
}

# Image names as registries write them. Anything else (a scheme, dots as a folder, a placeholder) may be read
# differently by a container runtime.
legible(image) if {
	is_string(image)
	regex.match(`^[A-Za-z0-9][A-Za-z0-9_.:@+-]*(/[A-Za-z0-9][A-Za-z0-9_.:@+-]*)*$`, image)
}

bans contains ban if {
	some banned in data.banned_images
	ban = full_name(banned)
}

# A registry alone, without a slash.
bans contains ban if {
	some banned in data.banned_images
	contains(banned, ".")
	not contains(banned, "/")
	named = concat("", [banned, "/"])
	ban = full_name(named)
}

# The image as a container runtime reads it: the case of a registry and its default port do not count, and an
# image without a registry is from docker.io.
full_name(image) := name if {
	is_string(image)
	lowered = lower(image)
	plain = regex.replace(lowered, `^([^/:]+\.[^/:]*[^/:.])\.*(:0*(80|443))?/`, "$1/")
	undockered = regex.replace(plain, `^(((index|registry-1)\.)?docker\.io|registry\.hub\.docker\.com)/`, "")
	name = located(undockered)
}

located(name) := name if has_registry(name)

located(name) := concat("", ["docker.io/", name]) if {
	is_string(name)
	not has_registry(name)
	qualified(name)
}

located(name) := concat("", ["docker.io/library/", name]) if {
	is_string(name)
	not qualified(name)
}

has_registry(name) if {
	is_string(name)
	regex.match(`^([^/]*[.:][^/]*|localhost)/`, name)
}

# Not an official image, whose name is one word; the name is empty where the prefix is docker.io itself.
qualified(name) if name == ""

qualified(name) if {
	is_string(name)
	contains(name, "/")
}

# Executors

refusals contains {"rule": "executor.banned", "message": message} if {
	count(data.banned_executors) > 0
	some type in types
	type in data.banned_executors
	message := sprintf("executor: %s is banned", [type])
}

refusals contains {"rule": "executor.tenant", "message": message} if {
	own = limits.executors
	is_array(own)
	some type in types
	not type in own
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

itemized if is_array(spec.shards.items)

shards := count(spec.shards.items) if itemized

shards := spec.shards.count if not itemized

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
	not known(class)
	message := sprintf("residency: data class %v is not known here", [class])
}

known(class) if is_array(data.residency[class])

resident(_) if not classified

classified if is_string(spec.dataClass)

resident(region) if region in data.residency[spec.dataClass]

permitted contains region if {
	some region in limits.regions
	resident(region)
}

refusals contains {"rule": "placement.nowhere", "message": "placement: no region is permitted"} if count(permitted) == 0

# Placement chooses among permitted regions by what the document wishes.
# With none in common there is no place for it.
refusals contains {"rule": "placement.wishes", "message": message} if {
	count(permitted) > 0
	count(spec.placement.regions) > 0
	count(permitted & {wish | some wish in spec.placement.regions}) == 0
	names = concat(", ", permitted)
	message := sprintf("placement: none of the wished regions is permitted, only %s", [names])
}

# The obligations of a permitted run.
obligations := object.union(object.filter(limits, caps), {"regions": permitted})

caps := ["max_priority", "max_shards", "max_deadline_seconds", "max_open_runs", "max_open_shards", "max_open_tasks", "requests_per_second", "weight"]
