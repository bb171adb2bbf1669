"""Fuzz targets, their guard and two engines; run by scripts/fuzz, and in small by tests/fuzz."""
