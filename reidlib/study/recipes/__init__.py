"""The reports' recipes, one module per report, one function per row."""
