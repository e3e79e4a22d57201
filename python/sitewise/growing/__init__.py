"""Growth of a potential from few or no labelled structures, until the error bars of given targets are small enough."""
