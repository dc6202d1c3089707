{#- Written with int_deal_value_changes. -#}
{{ table_of_sums(
    by={'month': 'date', 'pipeline_id': 'bigint', 'owner_id': 'bigint'},
    sums={
        'n_changes': 'bigint',
        'n_deals': 'bigint',
        'n_up': 'bigint',
        'up_value_base': 'numeric',
        'n_down': 'bigint',
        'down_value_base': 'numeric',
        'n_without_rate': 'bigint',
    }
) }}
