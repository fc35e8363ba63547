"""Gives a running Metabase the database, the columns' types and the dashboards through its free REST API.

It follows the API's description in Metabase's repository (`resources/openapi`), and has not been used with a
running Metabase yet.
"""
