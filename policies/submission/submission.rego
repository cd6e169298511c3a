# Decides whether a caller may submit a workflow.
#
# Rules of other packages are named in full: through an import of the package the embedded engine would
# evaluate all of its rules.
package waypost.submission

import rego.v1

unscoped contains {"rule": "scope.missing", "message": "scope: workflows:submit is missing"} if not data.waypost.caller.granted("workflows:submit")

refusals := (unscoped | data.waypost.caller.refusals) | data.waypost.document.refusals

decision := data.waypost.answer.permit(["document.permitted", "scope.granted", "tenant.permitted"], duties) if {
	count(refusals) == 0
	duties = data.waypost.document.obligations
}

decision := data.waypost.answer.refuse(reasons) if {
	count(refusals) > 0
	reasons = refusals
}
