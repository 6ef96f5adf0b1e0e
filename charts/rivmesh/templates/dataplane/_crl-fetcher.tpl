{{- /*
The fetcher as a native sidecar: it starts before the proxy, which starts when the fetcher's startup probe says that every list is
there, and ends after it. Where a list cannot be had, the pod does not start; those that run keep their last good one.
*/ -}}
{{- define "rivmesh.crlFetcher" -}}
{{- $own := .Values.crlFetcher -}}
- name: crl-fetcher
  {{- include "rivmesh.image" (list $ $own.image) | nindent 2 }}
  restartPolicy: Always
  args:
  {{- range $file, $url := $own.sources }}
  - {{ printf "--source=%s=%s" $url $file | quote }}
  {{- end }}
  {{- range $path := include "rivmesh.crlTrust" . | fromJson | keys | sortAlpha }}
  - --trust=/etc/rivmesh/{{ $path }}
  {{- end }}
  {{- with $own.httpsTrust }}
  - --https-trust=/etc/rivmesh/{{ include "rivmesh.path" (list . dict) }}
  {{- end }}
  - --directory=/var/lib/rivmesh/crls
  - --interval={{ $own.interval }}
  - {{ printf "--admin=%s:9902" .Values.bindAddress | quote }}
  env:
  - name: RIVMESH_LOG
    value: {{ $own.log | quote }}
  {{- with $own.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  ports:
  - {name: crl-admin, containerPort: 9902}
  startupProbe:
    httpGet: {path: /readyz, port: crl-admin}
    periodSeconds: 2
    failureThreshold: 150
  livenessProbe:
    httpGet: {path: /livez, port: crl-admin}
    periodSeconds: 30
    timeoutSeconds: 5
  resources:
    {{- toYaml $own.resources | nindent 4 }}
  {{- include "rivmesh.containerSecurity" . | nindent 2 }}
  volumeMounts:
  - {name: crl-trust, mountPath: /etc/rivmesh, readOnly: true}
  - {name: crls, mountPath: /var/lib/rivmesh/crls}
{{- end }}

{{- /* The paths of the authorities that may sign lists, as a JSON object with a key for each. */ -}}
{{- define "rivmesh.crlTrust" -}}
{{- $paths := dict }}
{{- range .Values.crlFetcher.trust }}
{{- $_ := include "rivmesh.path" (list . $paths) }}
{{- end }}
{{- toJson $paths }}
{{- end }}
