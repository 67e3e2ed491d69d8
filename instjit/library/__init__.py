"""A model as a C library: built here, loaded here."""
