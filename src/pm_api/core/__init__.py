"""What every slice stands on: settings, database, errors, HTTP manners, jobs, clock. Knows no slice."""
