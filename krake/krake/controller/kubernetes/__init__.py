"""The controllers that reach into Kubernetes clusters: one for the clusters themselves, one for the applications on them."""
