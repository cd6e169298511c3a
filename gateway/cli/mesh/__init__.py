"""The commands about services in an Istio mesh: render who may reach them, check for drift, try a request.

`folders` reads service files and rendered ones, `live_objects` the objects of a cluster; `rule` evaluates the
rule in `policies/services`. What is rendered and decided is in `gateway/mesh`. No command needs a gateway.
"""
