{{ grouped_rules([
    'rpt_activities_monthly', 'rpt_custom_field_options', 'rpt_customers', 'rpt_customers_monthly',
    'rpt_data_quality', 'rpt_deals_monthly', 'rpt_deals_weekly', 'rpt_exchange_rates', 'rpt_first_response', 'rpt_forecast',
    'rpt_forecast_accuracy', 'rpt_funnel_monthly', 'rpt_leads_monthly', 'rpt_lost_deals', 'rpt_lost_reasons',
    'rpt_open_deals', 'rpt_owner_scorecard', 'rpt_pipeline_daily', 'rpt_pipeline_now', 'rpt_products_monthly',
    'rpt_slippage', 'rpt_sources_monthly', 'rpt_stage_cohort', 'rpt_stage_conversion', 'rpt_stage_duration',
    'rpt_stage_duration_by_label', 'rpt_stage_duration_by_owner', 'rpt_stage_moves', 'rpt_stage_win_probability',
    'rpt_value_changes', 'rpt_velocity', 'rpt_win_rate_cohort', 'rpt_won_deals',
    'rpt_won_effort'
], references=['fct_deal']) }}
