"""Money that was spent, by day and purpose, and what calls would cost."""
