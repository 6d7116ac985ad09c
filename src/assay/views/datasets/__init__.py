"""The datasets page: the list with its import, and one dataset with rows, versions, policy and runs."""
