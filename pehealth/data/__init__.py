"""Loaders of the data sets that the reference networks are trained and tested on."""
