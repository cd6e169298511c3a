{{/* The objects of one embedded cluster: (dict "root" $ "region" NAME "cluster" VALUES "name" NAME). */}}
{{- define "waypost.cluster" }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  labels:
    {{- include "waypost.clusterLabels" . | nindent 4 }}
automountServiceAccountToken: false
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  labels:
    {{- include "waypost.clusterLabels" . | nindent 4 }}
  {{- with .cluster.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .cluster.service.type }}
  {{- with .cluster.service.loadBalancerSourceRanges }}
  loadBalancerSourceRanges:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  selector:
    {{- include "waypost.clusterSelector" . | nindent 4 }}
  ports:
    - {name: cluster, port: 7101, targetPort: cluster, appProtocol: https}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ .name }}
  labels:
    {{- include "waypost.clusterLabels" . | nindent 4 }}
spec:
  # One, and no autoscaler: a region is one journal, and another under its name takes no work. More of them: more regions.
  replicas: 1
  serviceName: {{ .name }}
  selector:
    matchLabels:
      {{- include "waypost.clusterSelector" . | nindent 6 }}
  template:
    metadata:
      # Not the chart's version: a new chart is no reason to end the tasks that run.
      labels:
        {{- include "waypost.clusterSelector" . | nindent 8 }}
      {{- with .cluster.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- include "waypost.podSpec" (dict "root" .root "account" .name "at" .cluster) | nindent 6 }}
      # What tasks get between SIGTERM and SIGKILL, and what it takes to close the journal. There is no preStop: the
      # gateway alone calls a cluster, and bears its end.
      {{- $process := .cluster.executors.process | default dict }}
      terminationGracePeriodSeconds: {{ add 20 ($process.grace_seconds | default 2 | float64 | ceil | int) }}
      # Not two regions' clusters on one node, nor all in one zone, where it can be had.
      topologySpreadConstraints:
        {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - maxSkew: 1
          topologyKey: {{ . }}
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "waypost.selector" $.root | nindent 14 }}
              app.kubernetes.io/component: cluster
        {{- end }}
      containers:
        - name: cluster
          {{- $image := mustMergeOverwrite (deepCopy .root.Values.image) .cluster.image }}
          image: {{ include "waypost.image" (dict "image" $image "default" .root.Chart.AppVersion) }}
          imagePullPolicy: {{ $image.pullPolicy }}
          securityContext:
            {{- include "waypost.containerSecurity" .root | nindent 12 }}
          command: [waypost, cluster]
          args:
            - --region={{ .region }}
            - --state=/var/lib/waypost/state
            - --pki=/etc/waypost/pki
            - --host={{ .root.Values.listenAddress }}
            - --port=7101
            - --metrics-host={{ .root.Values.listenAddress }}
            - --metrics-port=9101
            - --cpu={{ .cluster.cpu }}
            - --slots={{ .cluster.slots | int }}
            {{- if .cluster.secrets.secret }}
            - --secrets.files=/etc/waypost/secrets
            {{- end }}
            {{- range $executor, $settings := .cluster.executors }}
            {{- range $setting, $value := $settings }}
            - {{ printf "--executor.%s.%s=%s" $executor $setting (kindIs "string" $value | ternary $value (toJson $value)) | toJson }}
            {{- end }}
            {{- end }}
            {{- range $storage, $settings := .cluster.storages }}
            {{- range $setting, $value := $settings }}
            - {{ printf "--storage.%s.%s=%s" $storage $setting (kindIs "string" $value | ternary $value (toJson $value)) | toJson }}
            {{- end }}
            {{- end }}
            {{- if .cluster.trustedTenants }}
            - --trusted-tenants
            {{- end }}
          ports:
            - {name: cluster, containerPort: 7101}
            - {name: metrics, containerPort: 9101}
          # It listens once its journal is read.
          startupProbe:
            httpGet: {path: /livez, port: metrics}
            periodSeconds: 2
            failureThreshold: 150
          livenessProbe:
            httpGet: {path: /livez, port: metrics}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: {path: /livez, port: metrics}
            periodSeconds: 5
            timeoutSeconds: 3
          resources:
            requests: {cpu: {{ .cluster.cpu }}, memory: {{ .cluster.memory }}}
            limits: {cpu: {{ .cluster.cpu }}, memory: {{ .cluster.memory }}}
          volumeMounts:
            - {name: state, mountPath: /var/lib/waypost}
            - {name: temporary, mountPath: /tmp}
            - {name: pki, mountPath: /etc/waypost/pki, readOnly: true}
            {{- if .cluster.secrets.secret }}
            - {name: secrets, mountPath: /etc/waypost/secrets, readOnly: true}
            {{- end }}
      volumes:
        {{- with .cluster.secrets }}
        {{- if .secret }}
        - name: secrets
          secret:
            secretName: {{ .secret }}
            defaultMode: 0440
            {{- with .items }}
            items:
              {{- toYaml . | nindent 14 }}
            {{- end }}
        {{- end }}
        {{- end }}
        - name: temporary
          emptyDir: {sizeLimit: {{ .cluster.temporarySize }}}
        - name: pki
          secret:
            secretName: {{ include "waypost.clusterPki" . }}
            defaultMode: 0440
            items:
              - {key: ca.crt, path: ca.pem}
              - {key: tls.crt, path: clusters/{{ .region }}.pem}
              - {key: tls.key, path: clusters/{{ .region }}.key}
  volumeClaimTemplates:
    - {{- include "waypost.claim" (dict "name" "state" "storage" .cluster.storage) | nindent 6 }}
{{- end }}

{{- define "waypost.clusterSelector" -}}
{{ include "waypost.selector" .root }}
app.kubernetes.io/component: cluster
waypost.internal/region: {{ .region }}
{{- end -}}

{{- define "waypost.clusterLabels" -}}
{{ include "waypost.labels" .root }}
app.kubernetes.io/component: cluster
waypost.internal/region: {{ .region }}
{{- end -}}

{{/* The Secret with the certificate of a cluster. */}}
{{- define "waypost.clusterPki" -}}
{{- $pki := .cluster.pki | default dict -}}
{{- if $pki.secret -}}
{{ $pki.secret }}
{{- else if .root.Values.certManager.enabled -}}
{{ .name }}-pki
{{- else -}}
{{- fail (printf "regions: %s: embedded.pki.secret: name the Secret with ca.crt, tls.crt and tls.key of its cluster, or set certManager" .region) -}}
{{- end -}}
{{- end -}}

{{/* Whether the release has a cluster: any text, or nothing. */}}
{{- define "waypost.hasClusters" -}}
{{- range .Values.regions }}{{ if hasKey . "embedded" }}x{{ end }}{{ end -}}
{{- end -}}
