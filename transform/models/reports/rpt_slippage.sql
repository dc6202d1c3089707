{#-
    How often, and by how many days, expected close dates were changed. A first date is not a change. A view of sums:
    nothing has to be counted. int_deal_close_date_moves writes the sums.
-#}
{{ config(materialized='published_view') }}
-- depends_on: {{ ref('int_deal_close_date_moves') }}
select
    month,
    pipeline_id,
    owner_id,
    n_deals_pushed::integer as n_deals_pushed,
    n_pushes::integer as n_pushes,
    days_pushed::integer as days_pushed,
    pushed_value_base,
    {{ ratio('days_pushed', 'n_pushes') }} as avg_days_per_push,
    n_deals_pulled::integer as n_deals_pulled,
    n_pulls::integer as n_pulls,
    days_pulled::integer as days_pulled,
    n_without_rate::integer as deals_without_rate
from {{ ref('int_slippage_sums') }}
