# Decides which images the tasks of a document may use. `data.banned_images` are prefixes.
package waypost.document

deny contains {"rule": fault.rule, "message": message} if {
	some image in images
	fault := fault_of(image)
	some task in input.workflow.spec.tasks
	task.run.image == image
	message := sprintf("image: task %s %s", [task.name, fault.text])
}

fault_of(image) := {"rule": "image.unreadable", "text": "must name its image in full, without a placeholder"} if {
	not legible(image)
} else := {"rule": "image.banned", "text": sprintf("uses %s", [image])} if {
	banned(image)
}

# The images to check. A submission waits for this: each is checked once, however many tasks use it, and none is
# where `data.banned_images` is empty.
images contains image if {
	data.banned_images != []
	image := input.workflow.spec.tasks[_].run.image
	image != null
}

banned(image) if {
	name := full_name(image)
	some ban in bans
	startswith(name, ban)
}

# True for an image name as registries write it. Anything else (a scheme, dots as a folder, a placeholder) may be read
# differently by a container runtime.
legible(image) if {
	is_string(image)
	regex.match(`^[A-Za-z0-9][A-Za-z0-9_.:@+-]*(/[A-Za-z0-9][A-Za-z0-9_.:@+-]*)*$`, image)
}

bans contains full_name(ban) if some ban in data.banned_images

# A registry alone, without a slash.
bans contains full_name(concat("", [ban, "/"])) if {
	some ban in data.banned_images
	contains(ban, ".")
	not contains(ban, "/")
}

# The image as a container runtime reads it: the case of a registry and its default port do not count, and an
# image without a registry is from docker.io.
full_name(image) := located(undockered) if {
	plain := regex.replace(lower(image), `^([^/:]+\.[^/:]*[^/:.])\.*(:0*(80|443))?/`, "$1/")
	undockered := regex.replace(plain, `^(((index|registry-1)\.)?docker\.io|registry\.hub\.docker\.com)/`, "")
}

# The name is empty where a ban is docker.io itself.
located(name) := name if {
	regex.match(`^([^/]*[.:][^/]*|localhost)/`, name)
} else := concat("", ["docker.io/", name]) if {
	regex.match(`^$|/`, name)
} else := concat("", ["docker.io/library/", name])
