{#-
    The quality of the deals' history: a partly read history gives short stays and missing visits. A table, so that
    queries need not count all deals.
-#}
{{ config(materialized='published_table') }}
with deals as (
    select
        deals.deal_id,
        coalesce(deals.pipeline_id, -1) as pipeline_id,
        deals.history_quality,
        deals.status,
        syncs.synced_through
    from {{ ref('fct_deal') }} as deals
    left join {{ ref('stg_pipedrive__deal_changelog_sync') }} as syncs
        on deals.deal_id = syncs.deal_id and syncs.is_complete
    where not deals.is_deleted
)

select
    pipeline_id,
    coalesce(history_quality, 'unknown') as history_quality,
    count(*) as n_deals,
    count(*) filter (where status = 'open') as n_open_deals,
    {{ ratio('count(*)', 'sum(count(*)) over (partition by pipeline_id)') }} as share_of_pipeline,
    count(synced_through) as n_with_changelog,
    min(synced_through) as oldest_synced_through,
    max(synced_through) as newest_synced_through
from deals
group by pipeline_id, coalesce(history_quality, 'unknown')
