"""THE RIVER: what is made, from what. One folder per source, then the joint layers.

Belongs here: clients, readers, payloads and the asset declarations. Does not belong here: rules about content
(`expectations`), SQL and DDL (`warehouse`), arithmetic (`methods`), settings (`pipelines`).
"""
