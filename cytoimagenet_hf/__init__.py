"""Load, look at, extract from, pretrain on and benchmark with CytoImageNet."""
