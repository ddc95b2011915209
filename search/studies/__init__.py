"""Who is next and who goes on: pure bookkeeping, without Ray, files or clock."""
