"""What everything stands on: errors, files, seeds, settings, exit codes, the terminal. No science, no torch."""
