"""From a few labelled structures, or none, to a potential whose error bars on given targets are small enough."""
