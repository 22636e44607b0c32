"""How children start. An engine runs one step of a run in a process of its own."""
