"""Questions to the results, each answered as a DataFrame."""
