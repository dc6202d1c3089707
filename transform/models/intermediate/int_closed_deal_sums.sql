{#- Written with int_counted_deals. -#}
{{ table_of_sums(
    by={'week': 'date', 'month': 'date', 'pipeline_id': 'bigint', 'owner_id': 'bigint'},
    sums={
        'n_closed': 'bigint',
        'n_won': 'bigint',
        'n_lost': 'bigint',
        'n_won_valued': 'bigint',
        'won_value_base': 'numeric',
        'lost_value_base': 'numeric',
        'n_won_without_rate': 'bigint',
        'n_without_rate': 'bigint',
        'n_won_with_cycle': 'bigint',
        'won_cycle_days': 'numeric',
        'n_won_with_open_days': 'bigint',
        'won_open_days': 'numeric',
    },
    lists={'cycles': 'double precision[]'}
) }}
