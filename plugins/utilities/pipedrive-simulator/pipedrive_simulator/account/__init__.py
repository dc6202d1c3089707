"""The simulated account: its records, their history, and every way to change them."""
