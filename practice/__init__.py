"""THE PRACTICE GROUND: a small synthetic region to refresh, test and teach on: people, servers and extracts are invented.

Nothing in the product imports it but `mhwg practice`. Real data and anything that a real deployment needs do not belong
here.
"""
