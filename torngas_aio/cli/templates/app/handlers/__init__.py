"""What answers the URLs of this application."""
