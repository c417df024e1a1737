"""Template engines, part by part."""
