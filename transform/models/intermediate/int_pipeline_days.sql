{#- Written with fct_deal_daily_snapshot. -#}
{{ table_of_sums(
    by={'date_day': 'date', 'pipeline_id': 'bigint', 'stage_id': 'bigint', 'owner_id': 'bigint'},
    sums={
        'open_count': 'bigint',
        'open_value_base': 'numeric',
        'weighted_value_base': 'numeric',
        'commit_value_base': 'numeric',
        'n_without_rate': 'bigint',
    }
) }}
