---
display: table
columns: [check_name, n_looked_at, n_found, share_found]
format: {share_found: percent}
period: now
unfiltered: [pipeline]
size: {w: 12, h: 7}
static_dashboard: true
---
select
    translated(checks.check_name) as check_name,
    checks.n_looked_at,
    checks.n_found,
    checks.share_found
from marts.rpt_data_quality as checks
order by checks.share_found desc nulls last, check_name
