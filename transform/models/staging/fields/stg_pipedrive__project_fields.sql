{{ config(enabled='project_fields' in var('extra_streams')) }}
{{ staged_fields('project_fields') }}
