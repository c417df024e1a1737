"""One module a place: `setting` for development, `setting_online` for the world."""
