"""Work in shards: here, on processes, on Dask."""
