"""Mixed traffic while all that can fail does, at random times: who was let in, who was signed out, what was told."""
