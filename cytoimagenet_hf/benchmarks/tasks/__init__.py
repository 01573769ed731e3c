"""The tasks, a file each: where the files are, facts, and what is scored."""
