{{ staged_fields('project_fields') }}
