"""What repeated runs tell: pairs, equivalence, pooled rows, failures, medians.

Plain numbers in, plain numbers out, in float64 on the host; nothing here knows of
studies. Every answer is a number even where there is little or nothing to judge by.
"""
