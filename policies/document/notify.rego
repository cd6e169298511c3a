# Decides which webhooks a document may have called at its end: those whose host `notify` of the tenant names.
package waypost.document

import data.waypost.caller

deny contains {"rule": "notify.host", "message": message} if {
	some webhook in input.workflow.spec.notify
	host := webhook_host(webhook.url)
	not permitted_webhook(host)
	message := sprintf("notify: the tenant may not notify %s", [host])
}

permitted_webhook(host) if host in caller.limits.notify

# The host of an address, whose form the gateway has checked: no user, no password.
webhook_host(url) := lower(regex.replace(url, `^https?://([^/:]*).*$`, "$1"))
