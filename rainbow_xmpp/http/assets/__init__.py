"""Files that the pages consist of and refer to."""
