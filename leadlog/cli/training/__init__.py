"""Commands for data sets and models."""
