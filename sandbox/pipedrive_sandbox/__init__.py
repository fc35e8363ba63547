"""A local Pipedrive and an embedded Postgres, for development, demonstration and tests."""
