"""Labour export: files of the overseas-labour department -> documents, figures, contracts and what was odd in them.

Belongs here: everything about this one source, from the file to its staging frames. Does not belong here: other sources,
indicators, the store.
"""
