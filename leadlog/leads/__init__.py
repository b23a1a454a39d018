"""The lead store, its sync with Airtable, and the migration of files into it."""
