"""What commands print: a file for each, which takes the console and the report."""
