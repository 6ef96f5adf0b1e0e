{{- /* Where the last good table is kept. */ -}}
{{- define "rivmesh.tableVolume" -}}
{{- if eq .storage "existingClaim" -}}
persistentVolumeClaim:
  claimName: {{ .existingClaim | quote }}
{{- else if eq .storage "ephemeral" -}}
ephemeral:
  volumeClaimTemplate:
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .storageClassName }}
      storageClassName: {{ . | quote }}
      {{- end }}
      resources:
        requests: {storage: {{ .size }}}
{{- else -}}
emptyDir: {sizeLimit: {{ .size }}}
{{- end }}
{{- end }}

{{- /* Says "true" if dataplanes see the folder of fetched revocation lists: the fetcher runs, or a claim holds them. */ -}}
{{- define "rivmesh.hasCrlFiles" -}}
{{- if or .Values.crlFetcher.enabled .Values.crlFetcher.existingClaim }}true{{ end }}
{{- end }}
