"""The set-up of the company: users, pipelines, fields, products, roles."""
