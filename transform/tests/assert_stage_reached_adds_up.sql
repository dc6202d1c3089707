-- The time in the stages of a deal equals the length of its finished stays, and every visit has exactly one end.
with reached as (
    select
        deal_id,
        sum(total_open_s) as open_s,
        sum(n_entries) as n_entries,
        sum(n_advanced + n_back + n_pipeline + n_won + n_lost + n_open + n_deleted) as n_outcomes
    from {{ ref('fct_deal_stage_reached') }}
    {{ where_untested_deal() }}
    group by deal_id
),

stays as (
    select
        deal_id,
        sum(extract(epoch from valid_to - valid_from)) as open_s
    from {{ ref('fct_deal_stage_history') }}
    where status = 'open' and valid_to is not null and stage_id is not null
    {{ where_untested_deal(first='and') }}
    group by deal_id
)

select
    coalesce(reached.deal_id, stays.deal_id) as deal_id,
    reached.open_s,
    stays.open_s as open_s_of_stays,
    reached.n_entries,
    reached.n_outcomes
from reached
full join stays on reached.deal_id = stays.deal_id
where
    coalesce(reached.open_s, 0) <> coalesce(stays.open_s, 0)
    or reached.n_entries <> reached.n_outcomes
