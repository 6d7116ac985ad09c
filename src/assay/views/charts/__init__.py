"""Figures: each function takes values and returns a Plotly figure."""
