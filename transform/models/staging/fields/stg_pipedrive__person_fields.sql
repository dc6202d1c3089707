{{ staged_fields('person_fields') }}
