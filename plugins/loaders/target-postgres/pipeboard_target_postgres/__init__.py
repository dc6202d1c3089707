"""Singer target for PostgreSQL that loads at the speed of COPY."""
