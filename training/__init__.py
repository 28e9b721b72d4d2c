"""Trains small Keras models and seals each into a model package."""
