---
display: scalar
columns: [deals_without_rate]
y: deals_without_rate
period: now
unfiltered: [pipeline, owner, team, label, field]
size: {w: 24, h: 2}
---
select coalesce(sum(deals_without_rate), 0) as deals_without_rate
from marts.rpt_exchange_rates
