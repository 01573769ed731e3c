"""One module per command: each reads its options, calls one library function and prints the result."""
