"""What a terminal, a paper or an image shows."""
