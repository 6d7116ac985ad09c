"""What pages are made of: charts that return figures, components, state. Knows no SQL and no wire."""
