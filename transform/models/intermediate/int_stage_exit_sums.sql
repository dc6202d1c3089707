{#- Written with fct_deal_stage_reached. -#}
{{ table_of_sums(
    by={'month': 'date', 'pipeline_id': 'bigint', 'stage_id': 'bigint', 'owner_id': 'bigint'},
    sums={
        'n_exited': 'bigint',
        'n_won': 'bigint',
        'n_lost': 'bigint',
        'n_back': 'bigint',
        'n_moved_pipeline': 'bigint',
        'n_timed': 'bigint',
        'stayed_s': 'numeric',
    },
    lists={'days_of_visits': 'double precision[]'}
) }}
