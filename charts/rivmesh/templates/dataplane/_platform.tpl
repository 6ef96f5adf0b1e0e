{{- /*
platform.yaml, for (dict "Values" .Values "paths" DICT). Paths are relative to the file, and each that stands in it is noted in
`paths`, which is what gets mounted.
*/ -}}
{{- define "rivmesh.platform" -}}
{{- $paths := .paths -}}
{{- $platform := .Values.platform -}}
{{- $dataplane := .Values.dataplane -}}
platform:
  hsaId: {{ $platform.hsaId | quote }}
  name: {{ $platform.name | quote }}
  environment: {{ .Values.environment | quote }}
listeners:
{{- range $name, $listener := .Values.listeners }}
{{- if $listener }}
- name: {{ $name | quote }}
  address: "{{ $.Values.bindAddress }}:{{ $listener.port }}"
  kind: {{ $listener.kind | default "consumers" }}
  {{- with $listener.pathPrefixes }}
  pathPrefixes:
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $listener.tls }}
  tls:
    {{- include "rivmesh.identity" (list . $paths) | nindent 4 }}
    {{- with .minVersion }}
    minVersion: {{ . | quote }}
    {{- end }}
    {{- include "rivmesh.clients" (list . $paths) | nindent 4 }}
  {{- end }}
  {{- with $listener.certificateHeader }}
  certificateHeader:
    {{- pick . "headers" "ingresses" "cidrs" | toYaml | nindent 4 }}
    {{- include "rivmesh.clients" (list . $paths) | nindent 4 }}
  {{- end }}
  {{- with $listener.internal }}
  internal:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
admin:
  address: "{{ .Values.bindAddress }}:9901"
upstream:
  {{- with .Values.upstream }}
  tls:
    {{- include "rivmesh.identity" (list .tls $paths) | nindent 4 }}
    trust: {{ include "rivmesh.path" (list .tls.trust $paths) | quote }}
    verifyHostname: {{ .tls.verifyHostname }}
    minVersion: {{ .tls.minVersion | quote }}
  {{- with .overrides }}
  overrides:
  {{- range . }}
  - {{- omit . "secret" "trust" | toYaml | nindent 4 }}
    {{- if .secret }}
    {{- include "rivmesh.identity" (list . $paths) | nindent 4 }}
    {{- end }}
    {{- with .trust }}
    trust: {{ include "rivmesh.path" (list . $paths) | quote }}
    {{- end }}
  {{- end }}
  {{- end }}
  internal:
    {{- toYaml .internal | nindent 4 }}
  {{- with .userAgent }}
  userAgent: {{ . | quote }}
  {{- end }}
  correlationIdToExternal: {{ .correlationIdToExternal }}
  maxInFlight: {{ int64 .maxInFlight }}
  {{- end }}
{{ pick $platform "trustedPlatforms" "blockedConsumers" "untrustedOriginalConsumer" "routing" "authorization" | toYaml }}
faults:
  language: {{ $platform.faults.language }}
  {{- with $platform.faults.texts }}
  texts: {{ include "rivmesh.path" (list . $paths) | quote }}
  {{- end }}
{{- with $platform.limits }}
limits:
  {{- toYaml . | nindent 2 }}
{{- end }}
timeouts:
  {{- with $platform.timeouts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  drainDelay: {{ int64 $dataplane.drain.delaySeconds }}s
  drain: {{ int64 $dataplane.drain.seconds }}s
table:
  directory: /var/lib/rivmesh/table
  {{- with $dataplane.table.maxStale }}
  maxStale: {{ . }}
  {{- end }}
{{- with include "rivmesh.workers" $dataplane }}
workers: {{ . }}
{{- end }}
{{- end }}

{{- /* Certificate and key from the Secret of a block: (list BLOCK PATHS). */ -}}
{{- define "rivmesh.identity" -}}
{{- $secret := (index . 0).secret -}}
certificate: {{ include "rivmesh.path" (list (dict "secret" $secret "key" "tls.crt") (index . 1)) | quote }}
privateKey: {{ include "rivmesh.path" (list (dict "secret" $secret "key" "tls.key") (index . 1)) | quote }}
{{- end }}

{{- /* What makes a client certificate good: (list BLOCK PATHS). */ -}}
{{- define "rivmesh.clients" -}}
{{- $block := index . 0 -}}
{{- $paths := index . 1 -}}
clientTrust: {{ include "rivmesh.path" (list $block.clientTrust $paths) | quote }}
{{- with $block.crls }}
crls:
{{- range . }}
- {{ include "rivmesh.path" (list . $paths) | quote }}
{{- end }}
{{- end }}
{{- with $block.revocation }}
revocation: {{ . | quote }}
{{- end }}
{{- with $block.staleGrace }}
staleGrace: {{ . | quote }}
{{- end }}
{{- end }}

{{- /* The number of threads; nothing where the dataplane shall count its cores. */ -}}
{{- define "rivmesh.workers" -}}
{{- if eq (toString .workers) "cores" }}
{{- else if has .workers (list "request" "limit") }}
{{- $cpu := index ((index (.resources | default dict) (printf "%ss" .workers)) | default dict) "cpu" | default "0" | toString }}
{{- $cores := ternary (divf (trimSuffix "m" $cpu | float64) 1000) (float64 $cpu) (hasSuffix "m" $cpu) }}
{{- max 2 (ceil $cores | int) }}
{{- else }}
{{- int64 .workers }}
{{- end }}
{{- end }}
