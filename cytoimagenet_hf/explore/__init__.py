"""A window to look through a dataset: browse it, find the images nearest to one's own, see it as a map of features."""
