{#- Written with int_deal_custom_field_values. -#}
{{ table_of_sums(
    by={'field_code': 'text'},
    sums={'n_values': 'bigint'}
) }}
