"""One run of a sweep: everything between the command and the results folder."""
