---
display: line
columns: [month, owner_name, won_value_base, deals_without_rate]
x: month
y: won_value_base
series: owner_name
format: {month: month, won_value_base: money}
unfiltered: [pipeline]
size: {w: 24, h: 7}
---
select
    scores.month,
    translated(users.display_name) as owner_name,
    scores.won_value_base,
    scores.deals_without_rate
from marts.rpt_owner_scorecard as scores
inner join marts.dim_user as users on scores.owner_id = users.user_id
where
    true
    [[and scores.month in (select month_start from marts.dim_date where {{period}})]]
    of_owners(scores)
order by scores.month, owner_name
