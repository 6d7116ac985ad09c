"""The prompts page and what other pages show of the library.

names     the list at the left, and the empty library
detail    one version: its text, actions and tabs
editor    a new prompt, or the next version of one
template  templates and their differences as escaped HTML
pickers   save and open popovers for the playground and the batch page
"""
