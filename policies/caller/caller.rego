# The caller: whether it is an operator, and for which tenant it acts.
package waypost.caller

# True for an operator, who may act for every tenant: a member of one of `data.operators.groups`, or a holder of one of its scopes.
operator if {
	some group in data.operators.groups
	group in input.principal.groups
	vouched(data.operators)
}

operator if {
	some scope in data.operators.scopes
	scope in input.principal.scopes
	vouched(data.operators)
}

# True for a security operator, who may change the policy of this gateway, and gets no other permission by that.
security_operator if {
	input.action in {"policy:read", "policy:operate"}
	some group in input.principal.groups
	group in data.security.groups
	vouched(data.security)
}

security_operator if {
	input.action in {"policy:read", "policy:operate"}
	some scope in input.principal.scopes
	scope in data.security.scopes
	vouched(data.security)
}

# An issuer says which tenant and groups its users have. An entry of the data that names `issuers` believes
# these alone.
vouched(entry) if not entry.issuers

vouched(entry) if input.principal.issuer in entry.issuers

# The tenant whose limits apply: an operator's is the document's, everybody else's is their own, so that a refusal
# says nothing about the limits of another tenant.
tenant := input.workflow.metadata.tenant if {
	input.workflow.metadata.tenant != input.principal.tenant
	is_string(input.workflow.metadata.tenant)
	operator
} else := input.principal.tenant

limits := data.tenants[tenant]

has_tenant if is_string(input.principal.tenant)

# True if `tenant` is another than the caller's, who is no operator. False of null: a document may name none.
foreign(tenant) if {
	tenant != input.principal.tenant
	is_string(tenant)
	not operator
}

deny contains {"rule": "tenant.missing", "message": "tenant: the caller has none"} if not has_tenant

deny contains {"rule": "tenant.unknown", "message": message} if {
	not limits
	message := sprintf("tenant: %s is not known here", [tenant])
}

# Not checked again at placement: an operator may have submitted the run.
deny contains {"rule": "tenant.issuer", "message": message} if {
	issuers := limits.issuers
	not input.principal.issuer in issuers
	input.action != "runs:place"
	not operator
	message := sprintf("tenant: %s does not speak for %s", [input.principal.issuer, input.principal.tenant])
}
