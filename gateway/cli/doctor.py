"""What there is, from where, what is wrong with it, and how to mend it."""
