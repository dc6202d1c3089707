-- of_pipelines_and_owners(table)
[[and $table.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
of_owners($table)
