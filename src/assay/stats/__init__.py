"""Intervals, quantiles and paired comparisons. Pure: numbers in, numbers out."""
