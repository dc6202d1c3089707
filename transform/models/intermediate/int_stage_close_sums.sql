{#- Written with fct_deal_stage_reached. -#}
{{ table_of_sums(
    by={'closed_on': 'date', 'stage_id': 'bigint'},
    sums={'n_closed': 'bigint', 'n_won': 'bigint'}
) }}
