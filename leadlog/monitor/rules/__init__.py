"""Alert rules by subject, evaluated on the rolling figures and the checks."""
