"""What only a Pod reads: a task's settings of kfp-kubernetes, resolved for its run."""
