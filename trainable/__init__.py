"""What is one trial? Data, noise, losses, targets, networks, schedules, the trainer."""
