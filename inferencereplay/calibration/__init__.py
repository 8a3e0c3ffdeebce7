"""What varies from run to run in the requests of a program, and the settings under which that does not count."""
