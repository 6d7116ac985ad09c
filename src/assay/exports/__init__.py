"""A run as files: one module per format, all from one `RunRecord`. Pure: no network, no database, no screen."""
