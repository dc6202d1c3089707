{#-
    Changes of the value of open deals. A view of sums: nothing has to be counted. int_deal_value_changes writes the
    sums.
-#}
{{ config(materialized='published_view') }}
-- depends_on: {{ ref('int_deal_value_changes') }}
select
    month,
    pipeline_id,
    owner_id,
    n_deals::integer as n_deals,
    n_up::integer as n_up,
    up_value_base,
    n_down::integer as n_down,
    down_value_base,
    up_value_base + down_value_base as net_value_base,
    n_without_rate::integer as deals_without_rate
from {{ ref('int_value_change_sums') }}
