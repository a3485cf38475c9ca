"""Stages as Kubernetes Jobs: manifests (pure), the cluster (all access), and why in words."""
