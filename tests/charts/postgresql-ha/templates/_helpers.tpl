{{- define "ha.fullname" -}}
{{- if .Values.fullnameOverride -}}{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}{{- end -}}
{{- end -}}
{{- end -}}
{{- define "ha.postgresql" -}}{{ printf "%s-postgresql" (include "ha.fullname" .) }}{{- end -}}
{{- define "ha.pgpool" -}}{{ printf "%s-pgpool" (include "ha.fullname" .) }}{{- end -}}
{{- define "ha.selector" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
{{- end -}}
{{- define "ha.labels" -}}
{{ include "ha.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
{{- define "ha.image" -}}
{{- with .registry -}}{{ . }}/{{- end -}}{{ .repository }}:{{ .tag }}
{{- end -}}
{{- define "ha.username" -}}{{ default .Values.postgresql.username (.Values.global.postgresql).username }}{{- end -}}
{{- define "ha.repmgrUsername" -}}{{ default .Values.postgresql.repmgrUsername (.Values.global.postgresql).repmgrUsername }}{{- end -}}
{{- define "ha.repmgrDatabase" -}}{{ default .Values.postgresql.repmgrDatabase (.Values.global.postgresql).repmgrDatabase }}{{- end -}}
{{- define "ha.database" -}}{{ default .Values.postgresql.database (.Values.global.postgresql).database }}{{- end -}}
{{- define "ha.srCheckUsername" -}}{{ default .Values.pgpool.srCheckUsername (.Values.global.pgpool).srCheckUsername }}{{- end -}}
{{- define "ha.adminUsername" -}}{{ default .Values.pgpool.adminUsername (.Values.global.pgpool).adminUsername }}{{- end -}}
{{- define "ha.postgresqlSecret" -}}
{{- default (default (include "ha.postgresql" .) .Values.postgresql.existingSecret) (.Values.global.postgresql).existingSecret -}}
{{- end -}}
{{- define "ha.pgpoolSecret" -}}
{{- default (default (include "ha.pgpool" .) .Values.pgpool.existingSecret) (.Values.global.pgpool).existingSecret -}}
{{- end -}}
{{- define "ha.customUsersSecret" -}}
{{- default (printf "%s-custom-users" (include "ha.pgpool" .)) .Values.pgpool.customUsersSecret -}}
{{- end -}}
{{/* A given password, or the deployed one, or one made up. */}}
{{- define "ha.password" -}}
{{- if .given -}}{{ .given }}
{{- else -}}
{{- $there := (lookup "v1" "Secret" .root.Release.Namespace .secret).data | default dict -}}
{{- with index $there .key }}{{ . | b64dec }}{{- else }}{{ randAlphaNum 10 }}{{- end -}}
{{- end -}}
{{- end -}}
{{- define "ha.nodes" -}}
{{- $root := . -}}
{{- range $i := until (int .Values.postgresql.replicaCount) -}}
{{ if $i }} {{ end }}{{ include "ha.postgresql" $root }}-{{ $i }}.{{ include "ha.postgresql" $root }}-headless.{{ $root.Release.Namespace }}.svc.cluster.local
{{- end -}}
{{- end -}}
