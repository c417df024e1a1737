"""What every cache backend keeps to."""
