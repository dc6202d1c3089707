---
display: table
columns: [currency, n_deals, rate, rate_source, rate_date, n_at_later_rate, deals_without_rate, value_without_rate, remedy]
format: {rate: decimal, rate_date: date, value_without_rate: decimal}
period: now
unfiltered: [pipeline]
size: {w: 24, h: 5}
static_dashboard: true
may_be_empty: An account whose deals are all in the base currency needs no rate.
---
select
    rates.currency,
    rates.n_deals,
    rates.rate,
    translated(rates.rate_source) as rate_source,
    rates.rate_date,
    rates.n_at_later_rate,
    rates.deals_without_rate,
    rates.value_without_rate,
    translated(rates.remedy) as remedy
from marts.rpt_exchange_rates as rates
order by rates.deals_without_rate desc, rates.n_deals desc, rates.currency
