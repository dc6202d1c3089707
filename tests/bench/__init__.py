"""How fast the pipeline is, as ratios measured in one run on one machine; see README.md."""
