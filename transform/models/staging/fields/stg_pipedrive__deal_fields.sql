{{ staged_fields('deal_fields') }}
