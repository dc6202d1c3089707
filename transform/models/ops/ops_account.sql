{#- Properties of the account for reports: one row, also for an account without a deal. -#}
select
    {{ base_currency() }}::text as base_currency,
    {{ reporting_timezone() }}::text as reporting_timezone,
    {{ local_date('as_of') }} as today,
    {{ month_of(local_date('as_of')) }} as this_month,
    {{ deal_url_prefix() }}::text as deal_url_prefix
from {{ ref('int_warehouse_clock') }}
