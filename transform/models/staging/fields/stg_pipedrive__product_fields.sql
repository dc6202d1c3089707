{{ staged_fields('product_fields') }}
