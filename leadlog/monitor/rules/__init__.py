"""Alert rules by subject: each says what is wrong now, from the rolling figures and the checks."""
