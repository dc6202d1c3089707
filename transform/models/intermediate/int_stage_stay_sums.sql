{#- Written with int_deal_stage_intervals. -#}
{{ table_of_sums(
    by={'month': 'date', 'stage_id': 'bigint', 'owner_id': 'bigint'},
    sums={'n_stays': 'bigint', 'stayed_s': 'numeric'},
    lists={'days_of_stays': 'double precision[]'}
) }}
