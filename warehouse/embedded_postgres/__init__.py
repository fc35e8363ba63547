"""An embedded Postgres, and the command `warehouse` that manages it."""
