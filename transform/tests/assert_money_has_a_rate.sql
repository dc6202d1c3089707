-- Values without an exchange rate are missing from every sum in the base currency: add the rate to
-- seeds/fx_rates.csv, and `dbt seed`.
{{ config(severity='warn') }}
select
    currency,
    count(*) as n_deals
from {{ ref('fct_deal') }}
where fx_missing and not is_deleted
group by currency
