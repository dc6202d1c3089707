{#- Written with int_counted_deals. -#}
{{ table_of_sums(
    by={'closed_on': 'date'},
    sums={'n_closed': 'bigint', 'n_won': 'bigint'}
) }}
