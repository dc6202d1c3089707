{#- Written with int_counted_deals. -#}
{{ table_of_sums(
    by={'month': 'date', 'origin': 'text', 'channel': 'bigint', 'pipeline_id': 'bigint', 'owner_id': 'bigint'},
    sums={
        'n_created': 'bigint',
        'n_from_lead': 'bigint',
        'n_won': 'bigint',
        'n_lost': 'bigint',
        'won_value_base': 'numeric',
        'n_won_without_rate': 'bigint',
    }
) }}
