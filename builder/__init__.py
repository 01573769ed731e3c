"""Raw archives of the source datasets in, a HuggingFace dataset repository out."""
