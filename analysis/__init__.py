"""What came out? Results on disk, best configurations, tables, figures and the report."""
