{#- Written with int_deal_stage_intervals. -#}
{{ table_of_sums(
    by={'month': 'date', 'pipeline_id': 'bigint', 'owner_id': 'bigint'},
    sums={
        'n_moves': 'bigint',
        'n_forward': 'bigint',
        'n_skips': 'bigint',
        'n_regressions': 'bigint',
        'n_pipeline_moves': 'bigint',
    },
    lists={'deals_of_regressions': 'bigint[]'}
) }}
