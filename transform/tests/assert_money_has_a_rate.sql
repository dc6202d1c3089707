-- Values without an exchange rate are missing in every sum in the base currency: add the rate to seeds/fx_rates.csv,
-- and run `dbt seed`.
{{ config(severity='warn') }}
select
    currency,
    deals_without_rate as n_deals
from {{ ref('rpt_exchange_rates') }}
where deals_without_rate > 0
