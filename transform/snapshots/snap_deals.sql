{#-
    States of deals at each sync, used where the changelog has none. Only deals with a new version are read; a row
    is written only if it differs from the stored one.
-#}
{% snapshot snap_deals %}
{{ config(
    unique_key='deal_id',
    strategy='check',
    check_cols=[
        'stage_id', 'pipeline_id', 'status', 'owner_id', 'value', 'currency', 'probability',
        'expected_close_date', 'is_archived', 'is_deleted'
    ],
    indexes=[{'columns': ['deal_id']}, {'columns': ['_version']}],
    post_hook="{{ analyze_table() }}"
) }}
{%- set stored = load_relation(this) %}
select
    deals.deal_id,
    deals.stage_id,
    deals.pipeline_id,
    deals.status,
    deals.owner_id,
    deals.value,
    deals.currency,
    deals.probability,
    deals.expected_close_date,
    deals.is_archived,
    deals.is_deleted,
    deals.deleted_at,
    deals.stage_change_time,
    coalesce(
        case deals.status when 'won' then deals.won_time when 'lost' then deals.lost_time end, deals.close_time
    ) as closed_at,
    coalesce(deals.update_time, deals._extracted_at) as observed_at,
    deals._loaded_at,
    versions.version as _version
from {{ ref('stg_pipedrive__deals') }} as deals
inner join {{ ref('int_deal_versions') }} as versions on deals.deal_id = versions.deal_id
{%- if stored %}
{%- set built = run_query("select coalesce(max(_version), '-infinity')::text from " ~ stored).rows[0][0] %}
where {{ is_newer_deal('deals.deal_id', built, ref('int_deal_versions')) }}
{%- endif %}
{% endsnapshot %}
