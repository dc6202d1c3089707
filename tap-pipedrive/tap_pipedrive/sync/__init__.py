"""How the lists of a run are read: one scan for several streams, in windows, and deal by deal."""
