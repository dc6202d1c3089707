{#- Written with int_counted_deals. -#}
{{ table_of_sums(
    by={'week': 'date', 'month': 'date', 'pipeline_id': 'bigint', 'owner_id': 'bigint'},
    sums={
        'n_created': 'bigint',
        'n_imported': 'bigint',
        'n_won': 'bigint',
        'n_lost': 'bigint',
        'value_base': 'numeric',
        'n_without_rate': 'bigint',
    }
) }}
