"""pehealth: CNN inference on patients' readings by two servers that learn neither readings, model nor result."""

__version__ = "0.1.0"
