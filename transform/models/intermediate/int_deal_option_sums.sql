{#- Written with int_deal_options. -#}
{{ table_of_sums(
    by={'field_code': 'text', 'option_id': 'text', 'pipeline_id': 'bigint', 'owner_id': 'bigint', 'status': 'text'},
    sums={'n_deals': 'bigint', 'value_base': 'numeric', 'n_without_rate': 'bigint'}
) }}
