---
display: bar
columns: [days_in_stage, open_count, open_value_base, deals_without_rate]
x: days_in_stage
y: open_count
format: {open_value_base: money, days_in_stage: text}
period: now
size: {w: 12, h: 6}
static_dashboard: true
deals: {open_count: open_in_stage, open_value_base: open_in_stage}
---
select
    case
        when days_in_current_stage < 7 then '0-7'
        when days_in_current_stage < 14 then '7-14'
        when days_in_current_stage < 30 then '14-30'
        when days_in_current_stage < 60 then '30-60'
        when days_in_current_stage < 90 then '60-90'
        else '90+'
    end as days_in_stage,
    count(*) as open_count,
    coalesce(sum(value_base), 0) as open_value_base,
    count(*) filter (where fx_missing) as deals_without_rate
from marts.rpt_open_deals
where
    days_in_current_stage is not null
    of_pipelines_and_owners()
    [[and deal_id in (select deal_id from marts.fct_deal_label where {{label}})]]
group by days_in_stage
order by min(days_in_current_stage)
