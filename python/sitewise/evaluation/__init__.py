"""Predictions of a potential, and their errors against labels."""
