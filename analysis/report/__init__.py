"""The report: one HTML file to look at, while a sweep runs or after."""
