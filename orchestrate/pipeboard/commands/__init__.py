"""What the commands of `pipeboard` do, beyond one run of one job."""
