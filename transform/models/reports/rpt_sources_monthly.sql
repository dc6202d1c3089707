{#-
    Origins of deals by month of creation, and the value they won. A view of sums: nothing has to be counted.
    int_counted_deals writes the sums.
-#}
{{ config(materialized='published_view') }}
-- depends_on: {{ ref('int_counted_deals') }}
select
    month,
    origin,
    nullif(channel, -1) as channel,
    pipeline_id,
    owner_id,
    n_created::integer as n_created,
    n_from_lead::integer as n_from_lead,
    n_won::integer as n_won,
    n_lost::integer as n_lost,
    won_value_base,
    {{ ratio('n_won', 'n_created') }} as win_rate_by_cohort,
    n_won_without_rate::integer as deals_without_rate
from {{ ref('int_origin_sums') }}
