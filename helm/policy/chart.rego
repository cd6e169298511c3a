# What the chart must never render, whatever its values. `input.objects` are the objects of a release; each message of
# `deny` names one of them. Tried on every example, and each rule on a bad value: tests/helm/test_chart_rules.py.
package waypost.chart

import rego.v1

name(made) := sprintf("%s %s", [made.kind, made.metadata.name])

# The pods of a release with the objects that make them.
pods contains [made, made.spec.template.spec] if {
	some made in input.objects
	made.kind in {"StatefulSet", "Deployment", "DaemonSet", "Job"}
}

pods contains [made, made.spec] if {
	some made in input.objects
	made.kind == "Pod"
}

containers contains [made, container] if {
	some [made, pod] in pods
	some field in ["containers", "initContainers"]
	some container in get(pod, field, [])
}

get(value, field, otherwise) := object.get(value, field, otherwise)

# No root, and nothing that leads there.

deny contains sprintf("%s: the pod may run as root", [name(made)]) if {
	some [made, pod] in pods
	not safe_pod(pod)
}

safe_pod(pod) if {
	pod.securityContext.runAsNonRoot == true
	pod.securityContext.runAsUser > 0
	pod.securityContext.seccompProfile.type == "RuntimeDefault"
}

deny contains sprintf("%s: the container %s is not restricted", [name(made), container.name]) if {
	some [made, container] in containers
	not restricted(container)
}

restricted(container) if {
	context := container.securityContext
	context.allowPrivilegeEscalation == false
	context.readOnlyRootFilesystem == true
	context.runAsNonRoot == true
	context.capabilities == {"drop": ["ALL"]}
	not context.privileged
	not context.runAsUser == 0
}

deny contains sprintf("%s: the pod shares the node's %s", [name(made), field]) if {
	some [made, pod] in pods
	some field in ["hostNetwork", "hostPID", "hostIPC"]
	pod[field]
}

deny contains sprintf("%s: the pod mounts %s of its node", [name(made), volume.hostPath.path]) if {
	some [made, pod] in pods
	some volume in pod.volumes
}

# No right that is not needed, and no token of Kubernetes where none is used.

deny contains sprintf("%s: a wildcard in a role", [name(made)]) if {
	some made in input.objects
	made.kind in {"Role", "ClusterRole"}
	some rule in made.rules
	some field in ["apiGroups", "resources", "verbs"]
	some word in get(rule, field, [])
	contains(word, "*")
}

deny contains sprintf("%s: binds cluster-admin", [name(made)]) if {
	some made in input.objects
	made.kind in {"RoleBinding", "ClusterRoleBinding"}
	made.roleRef.name == "cluster-admin"
}

deny contains sprintf("%s: mounts a token of Kubernetes", [name(made)]) if {
	some [made, pod] in pods
	not pod.automountServiceAccountToken == false
}

deny contains sprintf("%s: has no service account of its own", [name(made)]) if {
	some [made, pod] in pods
	get(pod, "serviceAccountName", "default") == "default"
}

# No secret in the open.

deny contains sprintf("%s: a Secret in the chart", [name(made)]) if {
	some made in input.objects
	made.kind == "Secret"
}

deny contains sprintf("%s: %s looks like a secret", [name(made), key]) if {
	some made in input.objects
	made.kind == "ConfigMap"
	some key, value in made.data
	some found in regex.find_n(`PRIVATE KEY-----|(?i)(password|token|secret|alerts_key)"?\s*[=:]\s*"[^"$][^"]*`, value, -1)

	# Where it is, and not what it is.
	not regex.match(`"(file|env):`, found)
}

deny contains sprintf("%s: the variable %s is no reference to a Secret", [name(made), variable.name]) if {
	some [made, container] in containers
	some variable in container.env
	regex.match(`(TOKEN|SECRET|PASSWORD|KEY)`, variable.name)
	variable.value
}

# Limits, probes, and images that stay what they are.

deny contains sprintf("%s: the container %s has no %s for %s", [name(made), container.name, kind, resource]) if {
	some [made, container] in containers
	some kind in ["requests", "limits"]
	some resource in ["cpu", "memory"]
	not container.resources[kind][resource]
}

deny contains sprintf("%s: the container %s has no %s", [name(made), container.name, probe]) if {
	some [made, container] in containers
	made.kind != "Pod"
	some probe in ["livenessProbe", "readinessProbe"]
	not container[probe]
}

deny contains sprintf("%s: the image %s may be another tomorrow", [name(made), container.image]) if {
	some [made, container] in containers
	not regex.match(`@sha256:[0-9a-f]{64}$|:[0-9][A-Za-z0-9._-]*$`, container.image)
}

# Deny by default on the network: every pod has a policy that permits nothing in either direction.

deny contains sprintf("%s: no NetworkPolicy denies by default", [name(made)]) if {
	some [made, pod] in pods
	not denied_by_default(made)
}

denied_by_default(made) if {
	labels := get(made.spec, "template", made).metadata.labels
	some policy in input.objects
	policy.kind == "NetworkPolicy"
	{"Ingress", "Egress"} == {direction | some direction in policy.spec.policyTypes}
	not policy.spec.ingress
	not policy.spec.egress
	every key, value in policy.spec.podSelector.matchLabels {
		labels[key] == value
	}
}
