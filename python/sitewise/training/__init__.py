"""Training: data and parameters, optimizers, and a run with its checkpoints, results and pictures."""
