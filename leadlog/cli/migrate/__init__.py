"""`leadlog migrate`: migrate files of leads into the store."""
