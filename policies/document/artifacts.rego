# Decides which files of the regions' storages the tasks of a document may fetch and store: those that `artifacts` of
# the tenant names.
package waypost.document

import data.waypost.caller

deny contains {"rule": "artifact.tenant", "message": message} if {
	some source in sources
	address := artifact_address(source[["file", "s3"][_]])
	not permitted_artifact(address, "read")
	message := sprintf("artifact: the tenant may not fetch %s", [address])
}

deny contains {"rule": "artifact.tenant", "message": message} if {
	some target in targets
	address := artifact_address(target[["file", "s3"][_]])
	not permitted_artifact(address, "write")
	message := sprintf("artifact: the tenant may not store %s", [address])
}

# Of most documents these are empty: a submission waits for this, and nothing else is looked at in each task.
sources := [source | source := input.workflow.spec.tasks[_].source]

targets := [target | target := input.workflow.spec.tasks[_].target]

# Storage and path, in which placeholders may stand that are filled in later: only what is before them counts, since
# a cluster takes no path with `..`.
artifact_address(artifact) := sprintf("%v/%v", [artifact.storage, object.get(artifact, "path", "")])

permitted_artifact(address, verb) if address in caller.limits.artifacts[verb]

# All files below a storage, or a folder of one, whose name ends in a slash.
permitted_artifact(address, verb) if {
	some beginning in caller.limits.artifacts[verb]
	endswith(beginning, "/")
	startswith(address, beginning)
}
