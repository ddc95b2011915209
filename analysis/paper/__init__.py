"""Every chart of the report as a file for a paper: PDF, SVG or PNG, without a browser."""
