"""A simulated music library and the simulated plays of its listeners, to try every command on."""
