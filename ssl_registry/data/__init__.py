"""From a dataset to batches: split, decode cache, duplicate clusters, gathering by index."""
