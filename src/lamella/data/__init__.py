"""Data on their way into a model."""
