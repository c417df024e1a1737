"""The request handlers of this application."""
