"""An account made from CSV files of a sales pipeline."""
