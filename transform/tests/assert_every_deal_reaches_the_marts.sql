-- No deal is lost and none doubled on the way from staging to the marts.
with counted as (
    select
        (select count(*) from {{ ref('stg_pipedrive__deals') }}) as staged,
        (select count(*) from {{ ref('fct_deal') }}) as facts,
        (select count(*) from {{ ref('deal_wide') }}) as wide,
        (select sum(value) from {{ ref('stg_pipedrive__deals') }}) as staged_value,
        (select sum(value) from {{ ref('fct_deal') }}) as facts_value
)

select *
from counted
where staged <> facts or facts <> wide or staged_value is distinct from facts_value
