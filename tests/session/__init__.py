"""Tests of the visitor's session."""
