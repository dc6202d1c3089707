{#- The rates that have begun to hold: when one is added, changed or its day comes, prices are other ones. -#}
{{ config(materialized='published_view') }}
select
    rates.currency,
    rates.rate,
    rates.rate_date,
    rates.valid_from,
    rates.source,
    rates.is_backdated
from {{ ref('int_fx_rates') }} as rates
inner join {{ ref('int_warehouse_clock') }} as clock on rates.valid_from <= {{ local_date('clock.as_of') }}
