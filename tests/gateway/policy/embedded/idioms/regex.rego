package idiom

deny contains "image" if {
	some t in input.workflow.spec.tasks
	not regex.match(`^([a-z0-9.-]+(:\d+)?/)?[a-z0-9._/-]+(@sha256:[0-9a-f]{8,64}|:[\w.-]+)?$`, t.run.image)
}

parts := regex.find_all_string_submatch_n(`^([^:@]+)[:@]?(.*)$`, input.workflow.spec.tasks[0].run.image, -1)
version := regex.replace(input.workflow.metadata.name, `[^a-z0-9]+`, "-")
reg := split(input.workflow.spec.tasks[0].run.image, "/")[0]
