"""What pages are made of: charts that return figures, components, state. Imports streamlit; knows no SQL and no wire."""
