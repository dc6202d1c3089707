---
display: table
columns: [test_name, model, severity, n_failures, failing_since, tested_at]
format: {failing_since: time, tested_at: time}
period: now
unfiltered: [pipeline]
size: {w: 24, h: 6}
may_be_empty: On a healthy account no test of the data fails.
---
select
    tests.test_name,
    tests.model,
    translated(tests.severity) as severity,
    tests.n_failures,
    tests.failing_since,
    tests.tested_at
from ops.ops_dbt_test_result as tests
where tests.status <> 'pass'
order by tests.severity, tests.n_failures desc nulls last, tests.test_name
limit 200
