"""Public data sets in their official layouts: readers for evaluation and training, converters to bags."""
