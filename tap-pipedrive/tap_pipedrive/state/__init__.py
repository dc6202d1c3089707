"""What a run knows from the runs before it: bookmarks, definitions, deals seen, refused parents."""
