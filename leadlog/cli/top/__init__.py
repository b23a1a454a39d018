"""`leadlog top`: a live view of the log in the terminal."""
