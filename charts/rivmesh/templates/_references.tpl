{{- /*
Files from Secrets and ConfigMaps. A reference stands for a path, `secrets/NAME/KEY` or `configmaps/NAME/KEY`, and whoever writes
the path down also notes it, so that what is named is mounted. The path says which object it is from: while a roll-out is under
way, old pods read new settings, and a path must never mean another file to them.
*/ -}}

{{- /* The path of a reference, noted in PATHS: (list REFERENCE PATHS), PATHS a dict. */ -}}
{{- define "rivmesh.path" -}}
{{- $reference := index . 0 -}}
{{- $key := $reference.key | default "ca.crt" -}}
{{- if $reference.file -}}
/var/lib/rivmesh/crls/{{ $reference.file }}
{{- else -}}
{{- $path := ternary (printf "secrets/%s/%s" (toString $reference.secret) $key) (printf "configmaps/%s/%s" (toString $reference.configMap) $key) (hasKey $reference "secret") -}}
{{- $_ := set (index . 1) $path true -}}
{{ $path }}
{{- end }}
{{- end }}

{{- /* Sources of a projected volume for noted paths: one for each object, so that certificate and key change together. */ -}}
{{- define "rivmesh.sources" -}}
{{- $objects := dict }}
{{- range $path := keys . | sortAlpha }}
{{- $parts := splitList "/" $path }}
{{- $object := printf "%s/%s" (index $parts 0) (index $parts 1) }}
{{- $_ := set $objects $object (append (get $objects $object | default list) (index $parts 2)) }}
{{- end }}
{{- range $object, $keys := $objects }}
- {{ ternary "secret" "configMap" (hasPrefix "secrets/" $object) }}:
    name: {{ base $object | quote }}
    items:
    {{- range $keys }}
    - {key: {{ . | quote }}, path: {{ printf "%s/%s" $object . | quote }}}
    {{- end }}
{{- end }}
{{- end }}
