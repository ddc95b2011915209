"""How is it run? Studies, early stopping, recorder, runner, resume, replicate and the command line."""
