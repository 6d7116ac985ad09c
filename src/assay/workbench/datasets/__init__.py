"""Datasets: importing, keeping, versions."""
