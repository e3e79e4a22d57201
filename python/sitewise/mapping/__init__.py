"""Atomic energy mapping: what a set of total energies can and cannot say about the energy of each atom.

Follows D. Yoo et al., Phys. Rev. Materials 3, 093802 (2019). The modules here read features and energies alone.
"""
