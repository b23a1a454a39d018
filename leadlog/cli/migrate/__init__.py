"""`leadlog migrate`: files of leads into the store."""
