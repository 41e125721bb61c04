"""Runs tasks as Pods: one Pod per attempt, one stage per Pod (docs/pods.md)."""
