{#- Written with int_deal_close_date_moves. -#}
{{ table_of_sums(
    by={'month': 'date', 'pipeline_id': 'bigint', 'owner_id': 'bigint'},
    sums={
        'n_moves': 'bigint',
        'n_deals_pushed': 'bigint',
        'n_pushes': 'bigint',
        'days_pushed': 'bigint',
        'pushed_value_base': 'numeric',
        'n_deals_pulled': 'bigint',
        'n_pulls': 'bigint',
        'days_pulled': 'bigint',
        'n_without_rate': 'bigint',
    }
) }}
