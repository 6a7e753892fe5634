{{- define "ci-bridge.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "ci-bridge.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ci-bridge.labels" -}}
{{ include "ci-bridge.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "ci-bridge.configuration" -}}
[ingress]
listen = "{{ .Values.listenAddress }}:{{ .Values.callbacks.port }}"
shutdown_delay = "{{ .Values.shutdownDelaySeconds }}s"
{{- with .Values.callbacks.tls }}
{{- if .secretName }}

[ingress.tls]
cert = "/etc/ci-bridge/tls/tls.crt"
key = "/etc/ci-bridge/tls/tls.key"
{{- if .clientCa }}
client_ca = "/etc/ci-bridge/tls/ca.crt"
{{- end }}
{{- end }}
{{- end }}

[[ingress.endpoints]]
name = "default"
path = {{ .Values.callbacks.path | quote }}
{{- with .Values.callbacks.tokensSecret }}
{{- if .name }}
tokens_file = "/etc/ci-bridge/tokens/{{ .key }}"
{{- end }}
{{- end }}
allow_from = {{ .Values.callbacks.allowFrom | toJson }}
trusted_proxies = {{ .Values.callbacks.trustedProxies }}
allow_buckets = {{ .Values.callbacks.allowBuckets | toJson }}

[admin]
listen = "{{ .Values.listenAddress }}:{{ .Values.admin.port }}"

[nats]
servers = {{ .Values.nats.servers | toJson }}
{{- with .Values.nats.credsSecret }}
{{- if .name }}
creds_file = "/etc/ci-bridge/nats/{{ .key }}"
{{- end }}
{{- end }}
{{- with .Values.nats.caSecret }}
{{- if .name }}

[nats.tls]
ca = "/etc/ci-bridge/nats-ca/{{ .key }}"
{{- end }}
{{- end }}

[jetstream]
stream = {{ .Values.jetstream.stream | quote }}
provision = {{ .Values.jetstream.provision | quote }}
replicas = {{ .Values.jetstream.replicas }}

[spool]
enabled = {{ .Values.spool.enabled }}
dir = "/var/lib/ci-bridge/spool"
max_bytes = {{ .Values.spool.maxBytes | quote }}

[log]
format = {{ .Values.log.format | quote }}
level = {{ .Values.log.level | quote }}
{{- with .Values.extraConfig }}

{{ . | trim }}
{{- end }}
{{- end }}

{{- define "ci-bridge.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "ci-bridge.securityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- /* Folders, not single files (subPath): only in a folder does a changed Secret or ConfigMap appear while the pod runs. */}}
{{- define "ci-bridge.volumeMounts" -}}
- name: ci-bridge-config
  mountPath: /etc/ci-bridge/config
  readOnly: true
{{- if .Values.callbacks.tokensSecret.name }}
- name: ci-bridge-tokens
  mountPath: /etc/ci-bridge/tokens
  readOnly: true
{{- end }}
{{- if .Values.callbacks.tls.secretName }}
- name: ci-bridge-tls
  mountPath: /etc/ci-bridge/tls
  readOnly: true
{{- end }}
{{- if .Values.nats.credsSecret.name }}
- name: ci-bridge-nats
  mountPath: /etc/ci-bridge/nats
  readOnly: true
{{- end }}
{{- if .Values.nats.caSecret.name }}
- name: ci-bridge-nats-ca
  mountPath: /etc/ci-bridge/nats-ca
  readOnly: true
{{- end }}
{{- if or .Values.spool.enabled (eq .Values.mode "gateway") }}
- name: ci-bridge-spool
  mountPath: /var/lib/ci-bridge
{{- end }}
{{- end }}

{{- define "ci-bridge.configVolumes" -}}
- name: ci-bridge-config
  configMap:
    name: {{ include "ci-bridge.name" . }}
{{- with .Values.callbacks.tokensSecret.name }}
- name: ci-bridge-tokens
  secret:
    secretName: {{ . }}
{{- end }}
{{- with .Values.callbacks.tls.secretName }}
- name: ci-bridge-tls
  secret:
    secretName: {{ . }}
{{- end }}
{{- with .Values.nats.credsSecret.name }}
- name: ci-bridge-nats
  secret:
    secretName: {{ . }}
{{- end }}
{{- with .Values.nats.caSecret.name }}
- name: ci-bridge-nats-ca
  secret:
    secretName: {{ . }}
{{- end }}
{{- end }}

{{- define "ci-bridge.container" -}}
image: {{ include "ci-bridge.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: ["serve", "-c", "/etc/ci-bridge/config/ci-bridge.toml"]
{{- with .Values.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: callbacks
    containerPort: {{ .Values.callbacks.port }}
  - name: ci-bridge-admin
    containerPort: {{ .Values.admin.port }}
securityContext:
  {{- include "ci-bridge.securityContext" . | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  {{- include "ci-bridge.volumeMounts" . | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- end }}

{{- /*
The container of a native sidecar, for `initContainers` of another chart's pod. Its probes are /livez: one that asked /readyz would hold
the application back while NATS is away, although callbacks go into the spool then. It has no readiness: the pod's is the application's.
*/}}
{{- define "ci-bridge.sidecar" -}}
- name: ci-bridge
  restartPolicy: Always
  {{- include "ci-bridge.container" . | nindent 2 }}
  startupProbe:
    httpGet: {path: /livez, port: ci-bridge-admin}
    periodSeconds: 1
    failureThreshold: 300
  livenessProbe:
    httpGet: {path: /livez, port: ci-bridge-admin}
    periodSeconds: 10
    timeoutSeconds: 5
{{- end }}

{{- define "ci-bridge.sidecarVolumes" -}}
{{ include "ci-bridge.configVolumes" . }}
{{- if .Values.sidecar.emptyDirSpool }}
- name: ci-bridge-spool
  emptyDir: {}
{{- end }}
{{- end }}
