# Decides which secrets of the regions the tasks of a document may get: those that `secrets` of the tenant names.
package waypost.document

import data.waypost.caller

deny contains {"rule": "secret.tenant", "message": message} if {
	some secret in input.workflow.spec.secrets
	not permitted_secret(secret.from)
	message := sprintf("secret: the tenant may not use %s", [secret.from])
}

permitted_secret(name) if name in caller.limits.secrets

# All secrets below a name that ends in a slash.
permitted_secret(name) if {
	some beginning in caller.limits.secrets
	endswith(beginning, "/")
	startswith(name, beginning)
}
