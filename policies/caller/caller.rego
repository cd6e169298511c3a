# Who asks, and for whose tenant. A caller acts for its own tenant alone; an operator, named in `data.operators`, for any.
package waypost.caller

import rego.v1

granted(scope) if scope in input.principal.scopes

operator if {
	some group in input.principal.groups
	group in data.operators.groups
	operators = data.operators
	vouched(operators)
}

operator if {
	some scope in input.principal.scopes
	scope in data.operators.scopes
	operators = data.operators
	vouched(operators)
}

# An issuer says who is of which tenant and group, so with several of them each must only be believed about its own.
vouched(entry) if not selective(entry)

selective(entry) if is_array(entry.issuers)

vouched(entry) if input.principal.issuer in entry.issuers

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

refusals contains {"rule": "tenant.missing", "message": "tenant: the caller has none"} if not tenanted

tenanted if is_string(input.principal.tenant)

# A run that is placed again was let in when it came; an operator of another issuer may have sent it.
refusals contains {"rule": "tenant.issuer", "message": message} if {
	input.action != "runs:place"
	tenant = input.principal.tenant
	entry = data.tenants[tenant]
	not vouched(entry)
	not operator
	issuer = input.principal.issuer
	message := sprintf("tenant: %s does not speak for %s", [issuer, tenant])
}
