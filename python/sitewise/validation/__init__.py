"""Properties of crystals by a finished potential: `sitewise validate`."""
