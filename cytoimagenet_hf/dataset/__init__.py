"""The dataset as everyone uses it: load, schema, planes, splits, leaks, the Hub, cards."""
