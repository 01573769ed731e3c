"""Kinds of networks, a file each: facts of what they take, and how they are loaded."""
