{#- Written with fct_deal_stage_reached. -#}
{{ table_of_sums(
    by={'month': 'date', 'pipeline_id': 'bigint', 'stage_id': 'bigint', 'owner_id': 'bigint'},
    sums={'n_reached': 'bigint', 'n_came_in': 'bigint', 'n_reached_strict': 'bigint', 'n_won_past': 'bigint'}
) }}
