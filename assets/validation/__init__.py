"""The validation rules that DHIS2 servers publish, evaluated on the warehouse.

Belongs here: bringing rules and values together after the load. Does not belong here: what an expression means
(`methods.dhis2_expression`), our own beliefs (`expectations`).
"""
