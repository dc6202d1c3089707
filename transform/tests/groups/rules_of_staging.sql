{{ grouped_rules([
    'stg_pipedrive__activities', 'stg_pipedrive__activity_fields', 'stg_pipedrive__activity_types',
    'stg_pipedrive__currencies', 'stg_pipedrive__deal_changelog', 'stg_pipedrive__deal_changelog_sync',
    'stg_pipedrive__deal_fields', 'stg_pipedrive__deal_products', 'stg_pipedrive__deal_products_sync',
    'stg_pipedrive__deal_summary', 'stg_pipedrive__deal_summary_daily', 'stg_pipedrive__deals',
    'stg_pipedrive__goals', 'stg_pipedrive__lead_fields', 'stg_pipedrive__lead_labels', 'stg_pipedrive__lead_sources',
    'stg_pipedrive__leads', 'stg_pipedrive__mail_messages', 'stg_pipedrive__mail_threads', 'stg_pipedrive__notes',
    'stg_pipedrive__organization_fields', 'stg_pipedrive__organizations', 'stg_pipedrive__person_fields',
    'stg_pipedrive__persons', 'stg_pipedrive__pipeline_conversions', 'stg_pipedrive__pipeline_movements',
    'stg_pipedrive__pipelines', 'stg_pipedrive__product_fields', 'stg_pipedrive__products', 'stg_pipedrive__roles',
    'stg_pipedrive__stages', 'stg_pipedrive__teams', 'stg_pipedrive__users'
], with_extra_streams=true) }}
