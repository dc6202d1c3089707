---
display: trend
columns: [month, weighted_value_base, deals_without_rate]
x: month
y: weighted_value_base
format: {month: month, weighted_value_base: money}
period: now
size: {w: 6, h: 4}
static_dashboard: true
deals: {weighted_value_base: open}
---
open_by_month(weighted_value_base, sum(deals.weighted_value_base))
