"""Symmetry functions of whole data sets: in memory, in a cache on disk, or shared among MPI ranks."""
