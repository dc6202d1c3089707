-- The products of won deals, for the lists behind them: one row per deal and product.
select distinct
    lines.deal_id,
    coalesce(lines.product_id, -1) as product_id
from marts.fct_deal_product as lines
inner join marts.fct_deal as deals on lines.deal_id = deals.deal_id
where lines.is_enabled and deals.status = 'won' and not deals.is_deleted
