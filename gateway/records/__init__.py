"""Door 3: Postgres. The truth: what is sold, to whom, what was used.

Owns: the schema and its migrations, every SQL query, and turning what asyncpg raises into errors of ours.
Does not own: what any of it means (invoicing, publisher, keeper), nor a single live number (counters).
Each subject is a Python module beside the SQL file of the same name; functions take the transaction's connection.
"""
