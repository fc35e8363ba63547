"""An embedded Postgres, and the command `warehouse` that looks after it."""
