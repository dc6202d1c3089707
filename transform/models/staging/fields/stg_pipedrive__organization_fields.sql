{{ staged_fields('organization_fields') }}
