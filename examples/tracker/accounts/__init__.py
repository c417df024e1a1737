"""Users, groups and permissions; pages for login, logout, change and reset of a password. Yours to change."""
