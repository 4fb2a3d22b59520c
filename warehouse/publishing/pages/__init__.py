"""The web pages of a release: a self-contained static site in English and Vietnamese.

Belongs here: charts as SVG, templates, page assembly. Does not belong here: choosing or formatting figures; pages print the
texts that `tables` made.
"""
