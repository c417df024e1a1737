"""What every template engine does alike."""
