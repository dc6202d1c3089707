-- open_by_month(measure, present)
-- At the end of each month before this one, and now. The labels of the past are not known.
with month_ends as (
    select
        dates.month_start as month,
        sum(days.$measure) as $measure,
        sum(days.deals_without_rate) as deals_without_rate
    from marts.rpt_pipeline_daily as days
    inner join marts.dim_date as dates on days.date_day = dates.date_day
    cross join ops.ops_account as account
    where
        dates.date_day = (dates.month_start + interval '1 month' - interval '1 day')::date
        and dates.month_start between account.this_month - interval '12 months' and account.this_month - 1
        of_pipelines_and_owners(days)
        [[and exists (select 1 from marts.fct_deal_label where {{label}} and false)]]
    group by dates.month_start
),

present as (
    select
        account.this_month as month,
        coalesce($present, 0) as $measure,
        count(*) filter (where deals.fx_missing) as deals_without_rate
    from ops.ops_account as account
    left join marts.rpt_open_deals as deals
        on
            true
            of_pipelines_and_owners(deals)
            [[and deals.deal_id in (select deal_id from marts.fct_deal_label where {{label}})]]
    group by account.this_month
),

months as (
    select * from month_ends
    union all
    select * from present
)

select
    month,
    $measure,
    deals_without_rate
from months
order by month
