"""Surveys: files of survey offices in, harmonised respondents and design-based estimates out.

Declarations (recodes, designs, measures) are TOML beside the code; the arithmetic of estimation is in `methods.survey_*`.
"""
