"""An account created from CSV files of a sales pipeline."""
