"""Readers and writers of structures and potentials, and what is checked of the data that they give."""
