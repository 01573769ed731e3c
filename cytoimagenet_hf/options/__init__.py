"""What can be chosen on each journey, as settings classes: read from the command line, YAML and Python alike."""
