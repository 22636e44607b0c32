"""Training: load, adapt, loop. TRL's trainer does the work; the loss is ours."""
