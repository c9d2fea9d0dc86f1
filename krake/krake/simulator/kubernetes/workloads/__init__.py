"""What controllers do in a real cluster, as pure functions: the world in, the actions that bring it one step on out."""
