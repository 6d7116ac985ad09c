"""Templates of prompts and the differences between their versions. Pure."""
