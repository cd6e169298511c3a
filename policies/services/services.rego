# Decides who may reach a service of the mesh, by the files of this folder: the same that `waypost mesh render` makes of them for Istio.

# METADATA
# scope: package
# schemas:
#   - input: {"type": "object", "properties": {"service": {"type": "string"}, "port": {"type": "integer"}, "method": {"type": ["string", "null"]}, "path": {"type": ["string", "null"]}, "workload": {"type": ["string", "null"]}, "claims": {}}}
package waypost.services

decision := {"allow": true, "rules": permitting, "reasons": [], "obligations": {}} if {
	count(permitting) > 0
} else := {
	"allow": false,
	"rules": {reason.rule | some reason in refusals},
	"reasons": refusals,
	"obligations": {},
}

service := data.services[input.service]

# The names of the ways by which the request is let in.
permitting contains access.name if {
	identified
	credible
	some access in service.allow
	port_fits(access)
	workload_fits(access)
	method_fits(access)
	path_fits(access)
	token_fits(access)
}

# Mutual TLS is strict: who has no identity has no connection.
identified if {
	is_string(input.workload)
	startswith(input.workload, "spiffe://")
}

# A token that is there is one that the service takes, also where none is needed.
credible if not service.issuers

credible if input.claims == null

credible if some _ in issuing

# The issuers whose token it is. Proxies compare audiences without scheme and a slash at the end, and take no token
# of which a subject is no text.
issuing contains issuer if {
	some issuer in service.issuers
	input.claims.iss == issuer.issuer
	is_string(object.get(input.claims, "sub", ""))
	permitted := {bare(audience) | some audience in issuer.audiences}
	some audience in audiences
	bare(audience) in permitted
}

audiences := [input.claims.aud] if {
	is_string(input.claims.aud)
} else := input.claims.aud if {
	is_array(input.claims.aud)
	every audience in input.claims.aud {
		is_string(audience)
	}
}

bare(audience) := trim_suffix(trim_prefix(audience, "https://"), "/") if {
	startswith(audience, "https://")
} else := trim_suffix(trim_prefix(audience, "http://"), "/")

port_fits(access) if input.port in access.ports

port_fits(access) if {
	not access.ports
	input.port in service.ports.http
}

port_fits(access) if {
	not access.ports
	not speaks_http
	input.port in service.ports.tcp
}

speaks_http if count(service.ports.http) > 0

workload_fits(access) if not access.workloads

workload_fits(access) if input.workload in access.workloads

method_fits(access) if not access.methods

method_fits(access) if input.method in access.methods

path_fits(access) if not access.paths

path_fits(access) if path in access.paths

path_fits(access) if {
	some pattern in access.paths
	endswith(pattern, "/*")
	startswith(path, trim_suffix(pattern, "*"))
}

path := split(split(input.path, "?")[0], "#")[0] if is_string(input.path)

token_fits(access) if access.token == "optional"

token_fits(access) if {
	object.get(access, "token", "required") == "required"
	has_subject
	is_meant_for(access)
	scopes_fit(access)
	tenant_fits(access)
}

has_subject if {
	is_string(input.claims.sub)
	input.claims.sub != ""
	not contains(input.claims.sub, "\n")
}

# Of an issuer and for an audience that this way takes.
is_meant_for(access) if {
	some issuer in issuing
	issuer_fits(access, issuer)
	some audience in audiences
	audience in issuer.audiences
	audience_fits(access, audience)
}

is_issued_for(access) if {
	some issuer in service.issuers
	input.claims.iss == issuer.issuer
	issuer_fits(access, issuer)
}

issuer_fits(access, _) if not access.issuers

issuer_fits(access, issuer) if issuer.issuer in access.issuers

audience_fits(access, _) if not access.audiences

audience_fits(access, audience) if audience in access.audiences

scopes_fit(access) if not access.scopes

scopes_fit(access) if {
	every scope in access.scopes {
		scope in scopes
	}
}

scopes := split(input.claims.scope, " ") if {
	is_string(input.claims.scope)
} else := input.claims.scope if {
	is_array(input.claims.scope)
}

tenant_fits(access) if not access.tenants

tenant_fits(access) if {
	some tenant in tenants
	tenant in access.tenants
}

tenants := [tenant_claim] if {
	is_string(tenant_claim)
} else := tenant_claim if {
	is_array(tenant_claim)
}

tenant_claim := input.claims[object.get(service, "tenantClaim", "tenant")]

# What a refusal says: what nobody is let in with, and for each way what does not fit.
refusals contains {"rule": "service.unknown", "message": "service: it has no file"} if not service

refusals contains {"rule": "workload.missing", "message": "workload: the caller has no identity, and mutual TLS is strict"} if {
	not identified
}

refusals contains {"rule": "token.refused", "message": "token: it is not of an issuer, and for an audience, that the service takes"} if {
	service
	not credible
}

refusals contains {"rule": access.name, "message": message} if {
	some access in service.allow
	misfits := {part | some [name, part] in misfit; name == access.name}
	count(misfits) > 0
	message := sprintf("%s: does not fit: %s", [access.name, concat(", ", misfits)])
}

misfit contains [access.name, "port"] if {
	some access in service.allow
	not port_fits(access)
}

misfit contains [access.name, "workload"] if {
	some access in service.allow
	not workload_fits(access)
}

misfit contains [access.name, "method"] if {
	some access in service.allow
	not method_fits(access)
}

misfit contains [access.name, "path"] if {
	some access in service.allow
	not path_fits(access)
}

misfit contains [access.name, "token"] if {
	some access in service.allow
	not token_fits(access)
	input.claims == null
}

# Which claim of a token it is, besides those of scopes and tenant.
misfit contains [access.name, "sub"] if {
	some access in service.allow
	not token_fits(access)
	input.claims != null
	not has_subject
}

misfit contains [access.name, "iss"] if {
	some access in service.allow
	not token_fits(access)
	input.claims != null
	not is_issued_for(access)
}

misfit contains [access.name, "aud"] if {
	some access in service.allow
	not token_fits(access)
	is_issued_for(access)
	not is_meant_for(access)
}

misfit contains [access.name, "scopes"] if {
	some access in service.allow
	not scopes_fit(access)
}

misfit contains [access.name, "tenant"] if {
	some access in service.allow
	not tenant_fits(access)
}
