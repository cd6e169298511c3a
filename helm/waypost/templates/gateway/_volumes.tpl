{{/* The mounts of the gateway's container. */}}
{{- define "waypost.gatewayMounts" -}}
- {name: store, mountPath: /var/lib/waypost}
- {name: temporary, mountPath: /tmp}
- {name: config, mountPath: /etc/waypost/config, readOnly: true}
{{- if include "waypost.gatewayPki" . }}
- {name: pki, mountPath: /etc/waypost/pki, readOnly: true}
{{- end }}
{{- if include "waypost.apiTls" . }}
- {name: tls, mountPath: /etc/waypost/tls, readOnly: true}
{{- end }}
{{- if .Values.gateway.auditKey.secret }}
- {name: audit-key, mountPath: /etc/waypost/audit, readOnly: true}
{{- end }}
{{- if .Values.policy.data.configMap }}
- {name: policy-data, mountPath: /etc/waypost/policy-data, readOnly: true}
{{- end }}
{{- if .Values.policy.bundle.configMap }}
- {name: bundle, mountPath: /etc/waypost/bundle, readOnly: true}
{{- end }}
{{- if eq .Values.policy.engine "opa" }}
- {name: opa-socket, mountPath: /run/opa}
{{- end }}
{{- range .Values.gateway.files }}
- {name: file-{{ .name }}, mountPath: /etc/waypost/files/{{ .name }}, readOnly: true}
{{- end }}
{{- end -}}

{{/* The volumes of the gateway's pod, but for the store. Modes: the pod's group may read, nobody else. */}}
{{- define "waypost.gatewayVolumes" -}}
- name: temporary
  emptyDir: {sizeLimit: 256Mi}
- name: config
  configMap: {name: {{ include "waypost.fullname" . }}-gateway}
{{- with include "waypost.gatewayPki" . }}
- name: pki
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - {key: ca.crt, path: ca.pem}
      - {key: tls.crt, path: gateway.pem}
      - {key: tls.key, path: gateway.key}
{{- end }}
{{- with include "waypost.apiTls" . }}
- name: tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - {key: tls.crt, path: tls.crt}
      - {key: tls.key, path: tls.key}
{{- end }}
{{- with .Values.gateway.auditKey }}
{{- if .secret }}
- name: audit-key
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
      - {key: {{ .key }}, path: audit.pem}
{{- end }}
{{- end }}
{{- with .Values.policy.data.configMap }}
- name: policy-data
  configMap: {name: {{ . }}}
{{- end }}
{{- with .Values.policy.bundle.configMap }}
- name: bundle
  configMap: {name: {{ . }}}
{{- end }}
{{- if eq .Values.policy.engine "opa" }}
- name: opa-socket
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
- name: opa-state
  emptyDir: {sizeLimit: 256Mi}
{{- end }}
{{- range .Values.gateway.files }}
- name: file-{{ .name }}
  {{- if .secret }}
  secret: {secretName: {{ .secret }}, defaultMode: 0440}
  {{- else }}
  configMap: {name: {{ .configMap }}}
  {{- end }}
{{- end }}
{{- end -}}
