{{ config(severity='warn') }}
{{ grouped_rules([
    'fct_deal_daily_snapshot', 'fct_deal_field_change', 'fct_deal_stage_history', 'fct_forecast_snapshot',
    'int_deal_current', 'ops_etl_run', 'ops_stream_outcome', 'stg_pipedrive__deal_products', 'stg_pipedrive__deals'
], references=[
    'dim_pipeline', 'dim_user', 'stg_pipedrive__organizations', 'stg_pipedrive__persons', 'stg_pipedrive__pipelines',
    'stg_pipedrive__stages', 'stg_pipedrive__users'
]) }}
