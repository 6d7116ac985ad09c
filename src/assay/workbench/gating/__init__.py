"""Suites and their gates."""
