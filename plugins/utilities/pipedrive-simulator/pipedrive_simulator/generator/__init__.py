"""The generated account: two years of a Brazilian sales team."""
