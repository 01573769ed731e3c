"""Neighbours, statistics, precision, results, and what training and benchmarks share: arrays in, numbers out."""
