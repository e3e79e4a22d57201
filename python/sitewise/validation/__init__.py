"""What a referee asks of a finished potential: `sitewise validate`."""
