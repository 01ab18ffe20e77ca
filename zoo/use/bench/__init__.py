"""What `zoo bench` measures: our way beside the straightforward way, in the same run and with the same threads."""
