"""Projects, their members and tasks, and what is attached to tasks."""
