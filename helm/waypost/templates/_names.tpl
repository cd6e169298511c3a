{{/* Names, labels and images. */}}

{{- define "waypost.fullname" -}}
{{- $name := ternary .Release.Name (printf "%s-waypost" .Release.Name) (contains "waypost" .Release.Name) -}}
{{- if gt (len $name) 30 -}}
{{- fail (printf "the name of the release is too long: %s has more than 30 characters" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "waypost.selector" -}}
app.kubernetes.io/name: waypost
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "waypost.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "waypost.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* The image of: (dict "image" IMAGE "default" TAG). */}}
{{- define "waypost.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .default }}
{{- end -}}
{{- end -}}

{{/* The name of the cluster of a region: (dict "root" $ "region" NAME). */}}
{{- define "waypost.clusterName" -}}
{{- $name := printf "%s-cluster-%s" (include "waypost.fullname" .root) .region -}}
{{- if gt (len $name) 52 -}}
{{- fail (printf "regions: the name %s is too long for a cluster of this release (%s has more than 52 characters)" .region $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* The Secret with the gateway's certificate for calls to clusters. */}}
{{- define "waypost.gatewayPki" -}}
{{- if .Values.gateway.pki.secret -}}
{{ .Values.gateway.pki.secret }}
{{- else if .Values.certManager.enabled -}}
{{ include "waypost.fullname" . }}-gateway-pki
{{- else if .Values.regions -}}
{{- fail "gateway.pki.secret: name the Secret with ca.crt, tls.crt and tls.key of the gateway, or set certManager" -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the API's certificate; nothing where the API is plain HTTP. */}}
{{- define "waypost.apiTls" -}}
{{- if .Values.gateway.tls.secret -}}
{{ .Values.gateway.tls.secret }}
{{- else if .Values.certManager.enabled -}}
{{ include "waypost.fullname" . }}-api-tls
{{- end -}}
{{- end -}}

{{/* The base URL of the API within the cluster. */}}
{{- define "waypost.apiUrl" -}}
{{ ternary "https" "http" (ne (include "waypost.apiTls" .) "") }}://{{ include "waypost.fullname" . }}.{{ .Release.Namespace }}.svc:{{ .Values.gateway.service.port }}
{{- end -}}
