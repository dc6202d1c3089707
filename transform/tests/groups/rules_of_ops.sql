{{ grouped_rules([
    'ops_account', 'ops_dbt_model_status', 'ops_dbt_test_result', 'ops_etl_run', 'ops_history_coverage',
    'ops_quarantine', 'ops_row_counts', 'ops_stream_freshness', 'ops_stream_outcome'
]) }}
