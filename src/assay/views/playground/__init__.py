"""The parts of the playground page."""
