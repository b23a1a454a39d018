"""Who is told, of what together, how often, and over which channels."""
