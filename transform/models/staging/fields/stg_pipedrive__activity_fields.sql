{{ staged_fields('activity_fields') }}
