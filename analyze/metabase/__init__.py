"""A running Metabase gets the database, the columns' types and the dashboards through its free REST API.

Built on what Metabase's repository says of its API (`resources/openapi`); it has not met a running Metabase.
"""
