# Who asks, and for whose tenant. A caller acts for its own tenant alone; an operator, named in `data.operators`, for any.
package waypost.caller

import rego.v1

granted(scope) if scope in input.principal.scopes

operator if {
	some group in input.principal.groups
	group in data.operators.groups
}

operator if {
	some scope in input.principal.scopes
	scope in data.operators.scopes
}

# The tenant whose limits count: the document's for an operator. Who asks for a foreign tenant is measured, and told about, by its own.
owner := input.principal.tenant if not on_behalf

owner := input.workflow.metadata.tenant if on_behalf

on_behalf if {
	is_string(input.workflow.metadata.tenant)
	operator
}

known(tenant) if is_object(data.tenants[tenant])

# A document that names no tenant, and a run that was not found, are nobody else's.
foreign(tenant) if {
	is_string(tenant)
	tenant != input.principal.tenant
	not operator
}

# Why this caller is refused, whatever it asks for.
refusals contains {"rule": "tenant.unknown", "message": message} if {
	tenant = owner
	not known(tenant)
	message := sprintf("tenant: %s is not known here", [tenant])
}

refusals contains {"rule": "tenant.missing", "message": "tenant: the caller has none"} if not is_string(input.principal.tenant)
