"""Knowledge from earlier runs: bookmarks, definitions, deals seen, parents to read again."""
