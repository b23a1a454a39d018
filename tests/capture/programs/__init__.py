"""Small programs that must not notice that they are captured."""
