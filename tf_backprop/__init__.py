"""What the lessons in ``scripts/`` share and do not teach: data, drawing, tables and the command line."""
