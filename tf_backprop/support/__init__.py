"""What stands below the modules that a lesson opens: one room each, with its name on the door."""
