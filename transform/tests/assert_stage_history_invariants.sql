-- Rules for every deal's history, for any input. A row is a deal that breaks a rule.
with history as (
    select
        *,
        lag(valid_to) over in_order as previous_valid_to,
        lag(stage_id) over in_order as previous_stage_id,
        lag(status) over in_order as previous_status
    from {{ ref('fct_deal_stage_history') }}
    {{ where_untested_deal() }}
    window in_order as (partition by deal_id order by seq)
),

deals as (
    select
        bounds.deal_id,
        bounds.started_at,
        bounds.ended_at,
        bounds.row_stage_id,
        bounds.row_status,
        clock.as_of
    from {{ ref('int_deal_history') }} as bounds
    cross join {{ ref('int_warehouse_clock') }} as clock
    {{ where_untested_deal('bounds.deal_id') }}
),

per_deal as (
    select
        deals.deal_id,
        deals.started_at,
        deals.ended_at,
        count(*) filter (where history.is_current) as n_current,
        min(history.valid_from) as first_valid_from,
        coalesce(sum(history.dur_s), 0) as total_s,
        extract(
            epoch from coalesce(deals.ended_at, greatest(deals.as_of, max(history.valid_from))) - deals.started_at
        ) as age_s
    from deals
    left join history on deals.deal_id = history.deal_id
    group by deals.deal_id, deals.started_at, deals.ended_at, deals.as_of
),

violations as (
    select
        'I1 gap or overlap' as rule,
        deal_id
    from history
    where seq > 1 and previous_valid_to is distinct from valid_from
    union all
    select
        'I2 empty or negative interval' as rule,
        deal_id
    from history
    where valid_to <= valid_from
    union all
    select
        'I3 not exactly one current interval on a live deal, or one on a deleted deal' as rule,
        deal_id
    from per_deal
    where n_current <> case when ended_at is null then 1 else 0 end
    union all
    select
        'I4 durations do not add up to the age' as rule,
        deal_id
    from per_deal
    where abs(total_s - age_s) > 1
    union all
    select
        'I5 current interval is not where the deal is' as rule,
        history.deal_id
    from history
    inner join deals on history.deal_id = deals.deal_id
    where
        history.is_current
        and (
            (deals.row_stage_id is not null and history.stage_id is distinct from deals.row_stage_id)
            or (deals.row_status in ('open', 'won', 'lost') and history.status <> deals.row_status)
        )
    union all
    select
        'I6 the same state twice in a row' as rule,
        deal_id
    from history
    where seq > 1 and previous_stage_id is not distinct from stage_id and previous_status = status
    union all
    select
        'I7 history does not start with the deal' as rule,
        deal_id
    from per_deal
    where first_valid_from <> started_at
)

select
    rule,
    deal_id
from violations
