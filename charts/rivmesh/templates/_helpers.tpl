{{- /*
Names, labels, and what the pods of both components have in common. Names that somebody chose are quoted wherever they stand alone:
`1177` would be a number, and `on` a truth.
*/ -}}

{{- define "rivmesh.name" -}}
{{ .Values.nameOverride | default .Chart.Name }}
{{- end }}

{{- /* The beginning of every object's name. Not cut when it is too long, but refused: two cut names could be the same. */ -}}
{{- define "rivmesh.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride }}
{{- else if contains (include "rivmesh.name" .) .Release.Name }}{{ .Release.Name }}
{{- else }}{{ .Release.Name }}-{{ include "rivmesh.name" . }}
{{- end }}
{{- end }}

{{- /*
The beginning of the names of objects outside the release's namespace. No part can hold a colon, so that two releases never
meet, whatever they are called.
*/ -}}
{{- define "rivmesh.clusterName" -}}
rivmesh:{{ .Release.Namespace }}:{{ include "rivmesh.fullname" . }}
{{- end }}

{{- /* Labels that select the pods of a component: (list $ "operator"). */ -}}
{{- define "rivmesh.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "rivmesh.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- /*
Labels of a component's pods: (list $ COMPONENT), and further ones as a third item, which win over commonLabels. The chart's version is
none of them: it changes without a reason to restart.
*/ -}}
{{- define "rivmesh.podLabels" -}}
{{- $root := index . 0 -}}
{{ include "rivmesh.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: rivmesh
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- with merge (dict) (slice . 2 | first | default dict) $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Labels of an object that belongs to a component; its arguments are those of podLabels. */ -}}
{{- define "rivmesh.labels" -}}
{{- $chart := (index . 0).Chart -}}
{{ include "rivmesh.podLabels" . }}
helm.sh/chart: {{ $chart.Name }}-{{ $chart.Version }}
{{- end }}

{{- /* Name and labels of an object in the release's namespace: (list $ COMPONENT NAME), and further labels as a fourth item. */ -}}
{{- define "rivmesh.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "rivmesh.fullname" $root }}-{{ index . 2 }}
namespace: {{ $root.Release.Namespace | quote }}
labels:
  {{- include "rivmesh.labels" (list $root (index . 1) (slice . 3 | first)) | nindent 2 }}
{{- end }}

{{- /* The ServiceAccount of a component. */ -}}
{{- define "rivmesh.serviceAccount" -}}
{{- $root := index . 0 -}}
{{- (index $root.Values (index . 1)).serviceAccount.name | default (printf "%s-%s" (include "rivmesh.fullname" $root) (index . 1)) }}
{{- end }}

{{- /* An image: (list $ IMAGE). A digest says more than a tag and wins. */ -}}
{{- define "rivmesh.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
image: {{ with $root.Values.image.registry }}{{ . }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $root.Values.image.tag | default $root.Chart.AppVersion }}{{ end }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
{{- end }}

{{- /*
What the pods of a component have in common: (list $ COMPONENT). Security is the `restricted` level of Pod Security, and no value
lowers it.
*/ -}}
{{- define "rivmesh.pod" -}}
{{- $root := index . 0 -}}
{{- $own := index $root.Values (index . 1) -}}
serviceAccountName: {{ include "rivmesh.serviceAccount" . | quote }}
# A Service named like one of our settings would otherwise set it.
enableServiceLinks: false
{{ include "rivmesh.podSecurity" $root }}
{{- with $own.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $own.topologySpreadConstraints }}
topologySpreadConstraints:
{{- $selector := dict "labelSelector" (dict "matchLabels" (include "rivmesh.selector" . | fromYaml)) }}
{{- range $own.topologySpreadConstraints }}
{{ list (merge (dict) . $selector) | toYaml }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rivmesh.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  seccompProfile: {type: RuntimeDefault}
  {{- range $key, $number := .Values.podSecurity }}
  {{- if not (kindIs "invalid" $number) }}
  {{ $key }}: {{ int64 $number }}
  {{- end }}
  {{- end }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rivmesh.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- /* The probes of a container that has the usual pages at its port `admin`: its values `probes`. */ -}}
{{- define "rivmesh.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: admin}
  {{- toYaml .startup | nindent 2 }}
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  {{- toYaml .readiness | nindent 2 }}
livenessProbe:
  httpGet: {path: /livez, port: admin}
  {{- toYaml .liveness | nindent 2 }}
{{- end }}

{{- /* The name that the operator's certificate has: also a host name in every cluster, whatever its domain. */ -}}
{{- define "rivmesh.operatorHost" -}}
{{ include "rivmesh.fullname" . }}-operator.{{ .Release.Namespace }}.svc
{{- end }}

{{- /* The Secret with the operator's certificate, where the operator does not make it. */ -}}
{{- define "rivmesh.operatorCertificate" -}}
{{- if eq .Values.operator.tls.source "certManager" }}{{ include "rivmesh.fullname" . }}-operator-cert
{{- else if eq .Values.operator.tls.source "secret" }}{{ .Values.operator.tls.secret }}
{{- end }}
{{- end }}
