"""One entry a name, free of torch: losses, targets, schedules and the optimiser."""
