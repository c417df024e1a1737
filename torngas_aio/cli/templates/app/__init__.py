"""The application __app__."""
