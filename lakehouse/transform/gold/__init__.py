"""Gold's tables, a module each by the table's name: what its rows are made of. DataFrame in, DataFrame out."""
