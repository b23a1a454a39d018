"""`leadlog top`: the log in the terminal, as it comes."""
