"""Talk with what a run trained: a worker process that holds the model, and its clients."""
