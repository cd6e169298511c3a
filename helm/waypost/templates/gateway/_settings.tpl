{{/* The gateway's settings as TOML: those of values, and those that follow from how it is deployed. */}}
{{- define "waypost.settings" -}}
{{- $settings := deepCopy .Values.gateway.settings -}}
{{- $host := .Values.listenAddress -}}
{{- $_ := set $settings "store" "sqlite:/var/lib/waypost/gateway.db" -}}
{{- $_ := set $settings "listen" (dict "host" $host "port" 8080) -}}
{{- $_ := set $settings "metrics" (dict "host" $host "port" 9090) -}}
{{- if include "waypost.apiTls" . -}}
{{- $_ := set $settings "tls" (dict "certificate" "/etc/waypost/tls/tls.crt" "key" "/etc/waypost/tls/tls.key") -}}
{{- end -}}
{{- if .Values.gateway.development -}}
{{- $_ := set $settings "development" "/var/lib/waypost/development" -}}
{{- end -}}
{{- if include "waypost.gatewayPki" . -}}
{{- $_ := set $settings "pki" "/etc/waypost/pki" -}}
{{- end -}}
{{- if .Values.gateway.auditKey.secret -}}
{{- $audit := $settings.audit | default dict -}}
{{- $_ := set $audit "key" "/etc/waypost/audit/audit.pem" -}}
{{- $_ := set $settings "audit" $audit -}}
{{- end -}}
{{- $_ := set $settings "policy" (include "waypost.policySettings" . | fromJson) -}}
{{- $regions := list -}}
{{- range .Values.regions -}}
{{- $name := printf "%s.%s.svc:7101" (include "waypost.clusterName" (dict "root" $ "region" .name)) $.Release.Namespace -}}
{{- $region := dict "name" .name "url" (.url | default (printf "embedded+https://%s" $name)) -}}
{{- with .weight -}}{{- $_ := set $region "weight" . -}}{{- end -}}
{{- with .cluster -}}{{- $_ := set $region "cluster" . -}}{{- end -}}
{{- $regions = append $regions $region -}}
{{- end -}}
{{- if $regions -}}{{- $_ := set $settings "regions" $regions -}}{{- end -}}
{{- toToml $settings -}}
{{- end -}}

{{/* The table `policy` of the gateway's settings, as JSON. */}}
{{- define "waypost.policySettings" -}}
{{- $policy := deepCopy (.Values.gateway.settings.policy | default dict) -}}
{{- $values := .Values.policy -}}
{{- $opa := eq $values.engine "opa" -}}
{{- $_ := set $policy "engine" (ternary "opa+unix:/run/opa/opa.sock" "embedded" $opa) -}}
{{- if and $opa (not $values.publicKey) -}}
{{- fail "policy.publicKey: an OPA takes signed bundles alone; give the public key (docs/policy.md)" -}}
{{- end -}}
{{- if and $opa $values.data.configMap -}}
{{- fail "policy.data: is for the embedded engine; an OPA has the data of its bundle" -}}
{{- end -}}
{{- if $values.data.configMap -}}
{{- $_ := set $policy "data" (printf "/etc/waypost/policy-data/%s" $values.data.key) -}}
{{- end -}}
{{- if $values.publicKey -}}
{{- $_ := set $policy "bundle_key" "/etc/waypost/config/policy.pub" -}}
{{- $_ := set $policy "bundle_key_id" $values.keyId -}}
{{- else if $values.bundle.configMap -}}
{{- fail "policy.publicKey: a bundle must be signed; give the public key (docs/policy.md)" -}}
{{- end -}}
{{- if $values.bundle.configMap -}}
{{- $_ := set $policy "bundle" (printf "/etc/waypost/bundle/%s" $values.bundle.key) -}}
{{- end -}}
{{- toJson $policy -}}
{{- end -}}

{{/* OPA's configuration: it fetches the active bundle from the gateway beside it, as docs/policy.md has it. */}}
{{- define "waypost.opaConfiguration" -}}
services:
  waypost: {url: "http://127.0.0.1:9090"}
keys:
  {{ .Values.policy.keyId }}:
    algorithm: ES256
    key: {{ .Values.policy.publicKey | quote }}
bundles:
  policy:
    service: waypost
    resource: /bundles/policy.tar.gz
    persist: true
    signing: {keyid: {{ .Values.policy.keyId }}}
    polling: {min_delay_seconds: 1, max_delay_seconds: 2, long_polling_timeout_seconds: 30}
persistence_directory: /var/lib/opa
status: {service: waypost}
decision_logs:
  service: waypost
  reporting: {buffer_type: event, min_delay_seconds: 1, max_delay_seconds: 5}
{{- end -}}
