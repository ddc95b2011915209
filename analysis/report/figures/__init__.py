"""The figures of the report: a DataFrame goes in, a chart comes out."""
