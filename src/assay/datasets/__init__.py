"""Files in, rows out: reading tables, templates, column roles, spreadsheet-safe export.."""
