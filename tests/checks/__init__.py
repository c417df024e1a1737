"""The checks of the settings."""
