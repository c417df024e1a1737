"""Signals: who sends, who receives."""
