"""How is it run? Studies, early stopping, recorder, runner, resume, the command line."""
