---
display: trend
columns: [month, open_value_base, deals_without_rate]
x: month
y: open_value_base
format: {month: month, open_value_base: money}
period: now
size: {w: 6, h: 4}
static_dashboard: true
deals: {open_value_base: open}
---
open_by_month(open_value_base, sum(deals.value_base))
