-- No deal is lost or duplicated between staging and the marts, and its value does not change.
with staged as (
    select count(*) as n_deals from {{ ref('stg_pipedrive__deals') }}
),

staged_values as (
    select sum(value) as value from {{ ref('stg_pipedrive__deals') }}
    {{ where_untested_deal() }}
),

facts as (
    select count(*) as n_deals from {{ ref('fct_deal') }}
),

fact_values as (
    select sum(value) as value from {{ ref('fct_deal') }}
    {{ where_untested_deal() }}
),

wide as (
    select count(*) as n_deals from {{ ref('deal_wide') }}
)

select
    staged.n_deals as staged,
    facts.n_deals as facts,
    wide.n_deals as wide,
    staged_values.value as staged_value,
    fact_values.value as facts_value
from staged
cross join facts
cross join wide
cross join staged_values
cross join fact_values
where
    staged.n_deals <> facts.n_deals
    or facts.n_deals <> wide.n_deals
    or staged_values.value is distinct from fact_values.value
