"""Graders: what turns a result into a score. One family a file; `graders.GRADERS` lists them."""
