"""Small programs that must behave the same when they are captured."""
