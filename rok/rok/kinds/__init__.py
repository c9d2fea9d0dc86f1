"""The fields of each kind: what its tables show, what its requests hold, what can be waited for."""
