"""What is wrong with the data, each trouble a function that can be left out."""
