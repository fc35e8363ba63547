"""The endpoints that read the account: parameters, pages, prices, rows of v1 and v2."""
