"""The parts of the spend page, and amounts as tables."""
