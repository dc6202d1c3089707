"""The dashboards without Metabase: the same cards and selects as one page that works offline."""
