{#-
    The rates whose first day has come. When a rate is added or changed, or its first day comes, converted values
    change.
-#}
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
