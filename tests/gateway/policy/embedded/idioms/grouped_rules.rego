package idiom

owners[kind] contains task.name if {
	some task in input.workflow.spec.tasks
	kind := task.type
}

images[kind][task.name] := task.run.image if {
	some task in input.workflow.spec.tasks
	kind := task.type
}

sizes[task.name].memory := task.resources.memoryMiB if some task in input.workflow.spec.tasks

kinds := count(owners)

pulled if count(images) > 0

unowned if not owners

none if not images.docker

large := [name | some name, size in sizes; size.memory > 1000]
