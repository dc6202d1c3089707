-- months_of_tile()
months as (
    select distinct dates.month_start as month
    from marts.dim_date as dates
    cross join ops.ops_account as account
    where dates.date_day between account.this_month - interval '12 months' and account.this_month
)
