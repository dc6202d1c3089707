---
display: trend
columns: [month, commit_value_base, deals_without_rate]
x: month
y: commit_value_base
format: {month: month, commit_value_base: money}
period: now
size: {w: 6, h: 4}
static_dashboard: true
deals: {commit_value_base: committed}
---
open_by_month(commit_value_base, sum(deals.value_base) filter (where deals.is_committed))
