{#- Written with fct_deal_stage_reached. -#}
{{ table_of_sums(
    by={'month': 'date', 'pipeline_id': 'bigint', 'stage_id': 'bigint', 'owner_id': 'bigint'},
    sums={'n_entered': 'bigint', 'n_progressed': 'bigint', 'n_still_open': 'bigint'}
) }}
