---
display: heatmap
columns: [owner_name, month, median_response_hours, n_deals]
x: month
y: median_response_hours
series: owner_name
format: {month: month, median_response_hours: hours}
size: {w: 24, h: 6}
static_dashboard: true
---
with largest as (
    select pipeline_id
    from marts.rpt_first_response
    where
        true
        [[and month in (select month_start from marts.dim_date where {{period}})]]
        [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    group by pipeline_id
    order by sum(n_deals) desc, pipeline_id
    limit 1
)

select
    translated(users.display_name) as owner_name,
    responses.month,
    responses.median_response_hours,
    responses.n_deals
from marts.rpt_first_response as responses
inner join largest on responses.pipeline_id = largest.pipeline_id
inner join marts.dim_user as users on responses.owner_id = users.user_id
where
    true
    [[and responses.month in (select month_start from marts.dim_date where {{period}})]]
    of_owners(responses)
order by owner_name, responses.month
