"""Runs: what a draft becomes, how it is started, watched, grown, and kept within budget and policy."""
