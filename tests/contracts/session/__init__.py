"""What sessions keep to on every store."""
