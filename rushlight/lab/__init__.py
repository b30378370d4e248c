"""What one tries out: data that comes with the package, and what is built on it."""
