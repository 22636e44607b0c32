"""Training: load, adapt, trainer, loop. TRL's trainer does the work; the loss is ours."""
