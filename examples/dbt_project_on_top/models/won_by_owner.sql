select
    dim_user.name as owner_name,
    count(*) as deals_won,
    sum(fct_deal.value_base) as value_won
from {{ ref('pipeboard', 'fct_deal') }} as fct_deal
left join {{ ref('pipeboard', 'dim_user') }} as dim_user on fct_deal.owner_id = dim_user.user_id
where fct_deal.status = 'won' and not fct_deal.is_deleted
group by dim_user.name
