"""The dialect `postgresql+psycopg_exact`, which lets target-postgres load numbers with COPY as they are.

For its COPY, target-postgres asks the generic column types how to write a value, and SQLAlchemy's generic
decimal goes through a float, so that of 17 digits the last ones change, unless the dialect takes decimals
itself. psycopg does; SQLAlchemy's own dialect only says so in its PostgreSQL types, which COPY does not ask.
"""

from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg


class ExactDialect(PGDialect_psycopg):
    """SQLAlchemy's psycopg dialect, saying that it takes decimals."""

    supports_native_decimal = True
    supports_statement_cache = True  # SQLAlchemy does not inherit it
