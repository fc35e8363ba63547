"""The company before anybody works with it: users, pipelines, fields, products, roles."""
