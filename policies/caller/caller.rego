# The caller, and the tenant that it acts for: its own, or any for an operator (`data.operators`).
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

# An issuer names the tenant and groups of its users. An entry with `issuers` accepts that from these alone.
vouched(entry) if not selective(entry)

selective(entry) if is_array(entry.issuers)

vouched(entry) if input.principal.issuer in entry.issuers

# The tenant whose limits apply: for an operator the document's, for every other caller its own, so that a
# refusal says nothing about the limits of another tenant.
owner := input.principal.tenant if not on_behalf

owner := input.workflow.metadata.tenant if on_behalf

on_behalf if {
	is_string(input.workflow.metadata.tenant)
	operator
}

known(tenant) if is_object(data.tenants[tenant])

# Is `tenant` another than the caller's? Not so where a document names no tenant or a run was not found.
foreign(tenant) if {
	is_string(tenant)
	tenant != input.principal.tenant
	not operator
}

# Reasons to refuse this caller any action.
refusals contains {"rule": "tenant.unknown", "message": message} if {
	tenant = owner
	not known(tenant)
	message := sprintf("tenant: %s is not known here", [tenant])
}

refusals contains {"rule": "tenant.missing", "message": "tenant: the caller has none"} if not tenanted

tenanted if is_string(input.principal.tenant)

# Placement of a stored run does not check the issuer: submission did, and an operator may have submitted it.
refusals contains {"rule": "tenant.issuer", "message": message} if {
	input.action != "runs:place"
	tenant = input.principal.tenant
	entry = data.tenants[tenant]
	not vouched(entry)
	not operator
	issuer = input.principal.issuer
	message := sprintf("tenant: %s does not speak for %s", [issuer, tenant])
}
