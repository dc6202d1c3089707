{#- Written with int_counted_deals. -#}
{{ table_of_sums(
    by={'customer_id': 'bigint', 'customer_type': 'text', 'pipeline_id': 'bigint', 'owner_id': 'bigint'},
    sums={'n_won': 'bigint', 'value_base': 'numeric', 'n_without_rate': 'bigint'},
    lists={'won_dates': 'date[]'}
) }}
