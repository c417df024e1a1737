"""Tasks with attachments."""
