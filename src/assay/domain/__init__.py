"""Frozen values that every floor shares; nothing here does I/O."""
