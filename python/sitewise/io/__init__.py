"""Readers and writers of structures and potentials, and checks of the data that they read."""
