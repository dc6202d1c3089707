"""Cards and dashboards over Pipeboard's marts, as files, and what brings them into Metabase."""
