"""A first look without Metabase: the same cards and selects as one page that works offline."""
