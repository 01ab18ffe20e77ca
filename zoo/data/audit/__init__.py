"""What is wrong with a data set: each clip, each label, and clips that are the same sound."""
