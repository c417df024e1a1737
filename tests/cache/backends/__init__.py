"""Tests of single backends, beyond the contract."""
