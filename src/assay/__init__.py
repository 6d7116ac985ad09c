"""Assay: a prompt-evaluation workbench for OpenRouter."""

__version__ = "0.1.0"
