"""What the machines have, and files to start clusters from."""
