"""Write slabs of one thickness to train on, crystals to ask about, and structures that might be added."""

from ase.io import read, write

slabs = read("../si-dft/slab.xyz.xz", ":")
crystals = read("../si-dft/invariants.xyz.xz", ":")
write("slabs.xyz", [atoms for atoms in slabs if len(atoms) == 48][:24])
write("thicker.xyz", [atoms for atoms in slabs if len(atoms) == 64][:8])
write("bulk.xyz", read("../si-dft/crystal.xyz.xz", ":8"))
write("crystals.xyz", [atoms for atoms in crystals if atoms.info["kind"] == "diamond_EV"])
