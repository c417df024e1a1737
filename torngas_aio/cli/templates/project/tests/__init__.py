"""Tests of the project, over a real socket."""
