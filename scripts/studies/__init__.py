"""Parts of the study: real images as tasks and training set, and what is scored on them."""
