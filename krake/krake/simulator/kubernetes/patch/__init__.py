"""How an object changes: the four kinds of patch of the Kubernetes API, and who owns which field. Everything is pure."""
